from dicomserver.server.conflict import PATIENT, Conflict


def test_an_id_is_short_and_stays():
    one = Conflict("0000000100000002", "conflict")
    assert one.id == Conflict("0000000100000002", "replaced", reason="another").id == "42704883"
    assert one.id != Conflict("0000000100000003", "conflict").id
    assert len(Conflict("f\udcff", "damaged").id) == 8


def test_a_file_and_a_study_as_json():
    assert Conflict("a", "conflict", octets=5).as_json()["file"] == "quarantine/a.dcm"
    study = Conflict("1.2", PATIENT, study_instance_uid="1.2").as_json()
    assert (study["kind"], study["file"], study["studyInstanceUID"]) == ("patient", "", "1.2")
