"""What an acceptor takes unless it is told otherwise."""

import dataclasses

import pytest

from dicomserver.session.policy import AcceptorPolicy, plain_syntaxes, storage_support, verification_support
from dicomserver.standard.transfer_syntaxes import encoding, transfer_syntaxes

GE_PRIVATE = "1.2.840.113619.5.2"


def test_defaults_let_every_device_in():
    policy = AcceptorPolicy("OURS")
    assert not policy.check_called_ae_title
    assert policy.allowed_calling is None and not policy.blocked_calling
    assert policy.maximum_length == 16384
    assert policy.asynchronous_operations == (1, 1)
    assert policy.accept_private_sop_classes and policy.check_user_identity is None
    assert 1 <= len(policy.implementation_version_name) <= 16
    assert policy.sop_classes == {"1.2.840.10008.1.1": verification_support()}
    assert policy.storage is storage_support()


def test_a_policy_cannot_change_under_a_running_association():
    with pytest.raises(dataclasses.FrozenInstanceError):
        AcceptorPolicy("OURS").ae_title = "OTHER"


def test_storage_keeps_every_transfer_syntax_of_the_dictionary_and_no_other():
    assert storage_support().transfer_syntaxes == transfer_syntaxes()
    assert len(transfer_syntaxes()) > 50
    assert GE_PRIVATE not in storage_support().transfer_syntaxes


def test_verification_has_the_plain_encodings():
    assert verification_support().transfer_syntaxes is plain_syntaxes()
    assert plain_syntaxes() == {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}


@pytest.mark.parametrize("uid", sorted(plain_syntaxes()))
def test_plain_encodings_are_not_compressed(uid):
    assert not encoding(uid).deflated


@pytest.mark.parametrize("as_scu", [False, True])
def test_roles(as_scu):
    assert (storage_support(as_scu=as_scu).as_scp, storage_support(as_scu=as_scu).as_scu) == (True, as_scu)
    assert (verification_support().as_scp, verification_support().as_scu) == (True, False)


def test_storage_says_what_ps3_4_table_b_3_3_wants_to_know():
    answer = storage_support().application_information(b"\x03\x00\x00\x00\x02\x00")
    level, _, signatures, _, coercion, _ = answer
    assert (level, signatures, coercion) == (2, 3, 0)
    assert len(answer) == 6 and answer[1::2] == b"\0\0\0"
    assert verification_support().application_information is None
