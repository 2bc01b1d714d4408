// SPDX-License-Identifier: Apache-2.0
// Whether a log line tells of an error.

import Telemetry

enum LineSeverity {
    private static let labels = ["detected_level", "level", "severity", "severity_text"]
    private static let words: Set<String> = [
        "error", "err", "fatal", "critical", "crit", "severe", "panic", "alert", "emerg",
    ]

    /// By what was sent or recognised at ingest, else by a word of severity among the first words.
    static func isError(_ text: String, metadata: Labels, stream: Labels) -> Bool {
        for name in labels {
            if let level = metadata[name] ?? stream[name], level != "unknown" {
                return words.contains(level.lowercased())
            }
        }
        for word in text.utf8.prefix(120).split(maxSplits: 6, whereSeparator: { $0 <= 0x20 }) {
            let bare = word.drop { !isLetter($0) }.prefix(while: isLetter)
            guard (3...8).contains(bare.count) else { continue }
            if words.contains(String(decoding: bare, as: UTF8.self).lowercased()) { return true }
        }
        return false
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte | 0x20) }
}
