import numpy as np
import pydicom

from bids_spectsynth.dicom.export.pictures import document_file, picture_file


def test_picture_file__pixels_come_back_and_burned_in_words_are_declared(subject, series, save, dciodvfy) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (7, 9, 3)).astype(np.uint8)
    path = save([picture_file(pixels, subject, series(burned_in=True), 2)]) / "0000.dcm"
    file = pydicom.dcmread(path)
    assert (file.pixel_array == pixels).all()
    assert (file.BurnedInAnnotation, file.SyntheticData, file.InstanceNumber) == ("YES", "YES", 2)
    # Its planes are several: no place in space, rather than a wrong one.
    assert "ImagePositionPatient" not in file
    assert dciodvfy(path) == []


def test_document_file__pdf_comes_back(subject, series, save, dciodvfy) -> None:
    pdf = b"%PDF-1.4 ..."
    path = save([document_file(pdf + b"x", subject, series(burned_in=True), "Summary")]) / "0000.dcm"
    file = pydicom.dcmread(path)
    assert file.EncapsulatedDocument[: file.EncapsulatedDocumentLength] == pdf + b"x"
    assert (file.MIMETypeOfEncapsulatedDocument, file.SyntheticData) == ("application/pdf", "YES")
    assert dciodvfy(path) == []
