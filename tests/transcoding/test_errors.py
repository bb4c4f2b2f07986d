from dicomserver.transcoding.errors import ConversionFailed


def test_the_reason_is_the_text() -> None:
    assert str(ConversionFailed("it is cut off")) == "it is cut off"
