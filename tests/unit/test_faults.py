from firmware.faults import DeviceFault, FaultBook, FaultCode


def test_a_fault_is_new_once_and_counts_on():
    book = FaultBook()
    assert book.latch(DeviceFault(FaultCode.CAMERA_SILENT, "check the cable"), 10.0)
    assert not book.latch(DeviceFault(FaultCode.CAMERA_SILENT, "check the supply"), 20.0)
    (report,) = book.reports()
    assert (report.first_s, report.count, report.hint) == (10.0, 2, "check the supply")


def test_a_cleared_fault_may_be_new_again():
    book = FaultBook()
    book.latch(DeviceFault(FaultCode.STORAGE_REFUSED, "full"), 1.0)
    assert book.clear(FaultCode.STORAGE_REFUSED)
    assert not book.clear(FaultCode.STORAGE_REFUSED)
    assert book.latch(DeviceFault(FaultCode.STORAGE_REFUSED, "full"), 2.0)


def test_reports_come_oldest_first():
    book = FaultBook()
    book.latch(DeviceFault(FaultCode.BROKER_UNREACHABLE, "b"), 5.0)
    book.latch(DeviceFault(FaultCode.CAMERA_SILENT, "a"), 3.0)
    book.latch(DeviceFault(FaultCode.BROKER_UNREACHABLE, "b"), 1.0)
    assert [report.code for report in book.reports()] == [FaultCode.CAMERA_SILENT, FaultCode.BROKER_UNREACHABLE]


def test_a_fault_says_its_code_and_its_hint():
    assert str(DeviceFault(FaultCode.CAMERA_ABSENT, "check the ribbon")) == "camera-absent: check the ribbon"
