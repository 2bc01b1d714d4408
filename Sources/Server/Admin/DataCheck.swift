// SPDX-License-Identifier: Apache-2.0
// Offline verification of a data directory.

import Base
import Storage

/// What `tern check data` found.
package struct DataCheck: Sendable {
    package var text: String
    package var isSound: Bool
}

/// Verifies every log record, manifest record, part, section and index of a directory that no
/// server uses.
///
/// - Throws: when the directory is in use or cannot be read at all.
package func checkData(_ path: String) throws -> DataCheck {
    let report = try StorageCheck.check(
        path: path,
        storesBySignal: Dictionary(
            uniqueKeysWithValues: Stores().all.map { ($0.signal, $0) }))
    var text = "\(report.segments) segments, \(report.records) records, \(report.logBytes) bytes\n"
    for (signal, totals) in report.parts.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
        text +=
            "\(signal.name): \(totals.count) parts, \(totals.bytes) bytes, \(totals.rows) rows\n"
    }
    for note in report.notes { text += "note: \(note)\n" }
    for fault in report.faults { text += "FAULT: \(fault)\n" }
    text += report.isSound ? "sound\n" : "\(report.faults.count) faults\n"
    return DataCheck(text: text, isSound: report.isSound)
}
