// SPDX-License-Identifier: Apache-2.0
// Whether a log line tells of an error.

import Telemetry

enum LineSeverity {
    private static let labels = ["detected_level", "level", "severity", "severity_text"].map {
        Array($0.utf8)
    }
    private static let words: Set<String> = [
        "error", "err", "fatal", "critical", "crit", "severe", "panic", "alert", "emerg",
    ]

    /// By what was sent or recognised at ingest; nil when nothing was. Both are canonical labels.
    static func isError(
        metadata: UnsafeRawBufferPointer, stream: UnsafeRawBufferPointer
    ) -> Bool? {
        for name in labels {
            let level = name.withUnsafeBytes {
                labelValue(of: $0, in: metadata) ?? labelValue(of: $0, in: stream)
            }
            guard let level, !level.elementsEqual("unknown".utf8) else { continue }
            return words.contains(String(decoding: level, as: UTF8.self).lowercased())
        }
        return nil
    }

    /// By a word of severity among the first words.
    static func isError(text: String) -> Bool {
        for word in text.utf8.prefix(120).split(maxSplits: 6, whereSeparator: { $0 <= 0x20 }) {
            let bare = word.drop { !isLetter($0) }.prefix(while: isLetter)
            guard (3...8).contains(bare.count) else { continue }
            if words.contains(String(decoding: bare, as: UTF8.self).lowercased()) { return true }
        }
        return false
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte | 0x20) }
}
