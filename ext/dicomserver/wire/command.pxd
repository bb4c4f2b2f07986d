"""The command set of a DIMSE message (PS3.7 6.3, E.1)."""
from libc.stdint cimport uint64_t


cdef class CommandSet:
    # Numbers are int, UIDs and text str without padding; None: absent. Order and names of PS3.7 E.1.
    cdef public object affected_sop_class_uid                   # (0000,0002) UI
    cdef public object requested_sop_class_uid                  # (0000,0003) UI
    cdef public object command_field                            # (0000,0100) US
    cdef public object message_id                               # (0000,0110) US
    cdef public object message_id_being_responded_to            # (0000,0120) US
    cdef public object move_destination                         # (0000,0600) AE
    cdef public object priority                                 # (0000,0700) US: 0 medium, 1 high, 2 low
    cdef public object command_data_set_type                    # (0000,0800) US: 0101H no dataset follows
    cdef public object status                                   # (0000,0900) US
    cdef public object offending_element                        # (0000,0901) AT: list of 0xGGGGEEEE
    cdef public object error_comment                            # (0000,0902) LO
    cdef public object error_id                                 # (0000,0903) US
    cdef public object affected_sop_instance_uid                # (0000,1000) UI
    cdef public object requested_sop_instance_uid               # (0000,1001) UI
    cdef public object event_type_id                            # (0000,1002) US
    cdef public object attribute_identifier_list                # (0000,1005) AT: list of 0xGGGGEEEE
    cdef public object action_type_id                           # (0000,1008) US
    cdef public object number_of_remaining_suboperations        # (0000,1020) US
    cdef public object number_of_completed_suboperations        # (0000,1021) US
    cdef public object number_of_failed_suboperations           # (0000,1022) US
    cdef public object number_of_warning_suboperations          # (0000,1023) US
    cdef public object move_originator_application_entity_title     # (0000,1030) AE
    cdef public object move_originator_message_id               # (0000,1031) US


# What decode_command does, on borrowed bytes.
cdef CommandSet read_command(const unsigned char *data, uint64_t length)
