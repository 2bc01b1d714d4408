// SPDX-License-Identifier: Apache-2.0
// systemd's journal in its export format.

import Base
import Telemetry
import Testing

@testable import Wire

private func binary(_ name: String, _ value: [UInt8]) -> [UInt8] {
    var out = Array("\(name)\n".utf8)
    for shift in 0..<8 { out.append(UInt8(truncatingIfNeeded: value.count >> (8 * shift))) }
    return out + value + [0x0a]
}

private let first =
    Array(
        """
        __CURSOR=s=1;i=2
        __REALTIME_TIMESTAMP=1700000000000001
        __MONOTONIC_TIMESTAMP=5
        PRIORITY=3
        SYSLOG_IDENTIFIER=sshd-session
        _SYSTEMD_UNIT=sshd.service
        _HOSTNAME=box
        _PID=42

        """.utf8) + binary("MESSAGE", Array("two\nlines".utf8)) + [0x0a]
private let second = Array(
    "__REALTIME_TIMESTAMP=1700000000000002\nMESSAGE=plain = text\n_COMM=cron\n".utf8)

/// Everything in pieces of `size` bytes.
private func read(
    _ bytes: [UInt8], piece size: Int = .max,
    mapping: LogRecordMapping = JournalExportReader.mapping
) throws -> JournalExportReader {
    var reader = JournalExportReader(mapping, receivedNanos: 7)
    var start = 0
    while start < bytes.count {
        let end = min(bytes.count, start + min(size, bytes.count))
        try bytes[start..<end].withUnsafeBytes { try reader.feed($0) }
        start = end
    }
    try reader.finish()
    return reader
}

@Suite struct JournalExportTests {
    @Test(arguments: [1, 2, 7, 64, 100_000]) func entriesInAnyPieces(_ piece: Int) throws {
        var reader = try read(first + second, piece: piece)
        #expect(
            describe(reader.take().batch) == [
                #"{hostname="box", job="systemd-journal", service_name="sshd", systemd_unit="sshd.service"} 1700000000000001000 "#
                    + "two\nlines "
                    + #"{detected_level="error", pid="42", priority="3", syslog_identifier="sshd-session"}"#,
                #"{job="systemd-journal", service_name="cron"} 1700000000000002000 plain = text {comm="cron"}"#,
            ])
        #expect(reader.rowCount == 0)
    }

    @Test func fieldsAreNamedAsTheJournalDoes() throws {
        var mapping = JournalExportReader.mapping
        mapping.streamFields = ["_PID"]
        mapping.ignoredFields = ["_SYSTEMD_*", "SYSLOG_IDENTIFIER"]
        var reader = try read(first, mapping: mapping)
        #expect(
            describe(reader.take().batch).first?.hasPrefix(
                #"{job="systemd-journal", pid="42", service_name="#) == true)
    }

    @Test func hugeFieldsAreLeftOut() throws {
        let huge = [UInt8](repeating: 65, count: JournalExportReader.maxFieldBytes + 5)
        let entry =
            Array("MESSAGE=kept\n".utf8) + binary("COREDUMP", huge) + Array("LONG=".utf8) + huge
            + Array("\nA=b\n\nMESSAGE=next\n\n".utf8)
        var reader = try read(entry, piece: 10_000)
        #expect(reader.fieldsLeftOut == 2)
        let lines = describe(reader.take().batch)
        #expect(
            lines.count == 2 && lines[0].contains(" kept {a=\"b\"}") && lines[1].contains(" next "))
    }

    @Test func whatIsNoJournalIsRefused() {
        for text in ["lower=1\n", "=x\n", "1A=x\n", "A B=x\n"] {
            #expect(throws: MalformedBytes.self) { try read(Array(text.utf8)) }
        }
        #expect(throws: MalformedBytes.self) {
            try read(Array(binary("A", [1, 2, 3]).dropLast(2)))
        }
    }

    @Test func damageNeverCrashes() throws {
        var rows = 0
        mutate(first + second + [0x0a] + first, rounds: 8000) { bytes in
            if var reader = try? read(bytes, piece: 50) { rows += reader.take().batch.rowCount }
        }
        #expect(rows > 1000)
    }
}
