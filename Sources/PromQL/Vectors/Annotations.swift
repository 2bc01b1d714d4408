// SPDX-License-Identifier: Apache-2.0
// Warnings and infos that come with an answer.

import Base

/// Collects what an evaluation has to say besides its result, each message once.
///
/// Source: prometheus/prometheus `util/annotations`: two messages that differ only in position are
/// one, at the position met first.
package final class Annotations {
    package enum Level: Sendable { case warning, info }

    private struct Entry {
        var level: Level
        var text: String
        var range: SourceRange
        var detail: MonotonicityDetail?
        var count = 1
    }
    private var entries: [Entry] = []
    private var index: [String: Int] = [:]

    package init() {}

    package func add(_ level: Level, _ text: String, at range: SourceRange) {
        if let known = index[text] {
            entries[known].count += 1
            return
        }
        index[text] = entries.count
        entries.append(Entry(level: level, text: text, range: range))
    }

    package func warn(_ text: String, at range: SourceRange) { add(.warning, text, at: range) }
    package func inform(_ text: String, at range: SourceRange) { add(.info, text, at: range) }

    /// What was repaired in the buckets of a classic histogram.
    struct MonotonicityDetail {
        var firstMillis: Int64
        var lastMillis: Int64
        var minBucket: Double
        var maxBucket: Double
        var maxDifference: Double
    }

    func addForcedMonotonicity(
        _ text: String, _ detail: MonotonicityDetail, at range: SourceRange
    ) {
        guard let known = index[text], var merged = entries[known].detail else {
            index[text] = entries.count
            entries.append(Entry(level: .info, text: text, range: range, detail: detail))
            return
        }
        merged.firstMillis = min(merged.firstMillis, detail.firstMillis)
        merged.lastMillis = max(merged.lastMillis, detail.lastMillis)
        merged.minBucket = min(merged.minBucket, detail.minBucket)
        merged.maxBucket = max(merged.maxBucket, detail.maxBucket)
        merged.maxDifference = max(merged.maxDifference, detail.maxDifference)
        entries[known].detail = merged
        entries[known].count += 1
    }

    /// The messages of one level as the HTTP API prints them, with the position in the query.
    package func texts(_ level: Level, query: String) -> [String] {
        entries.filter { $0.level == level }.map { entry in
            var text = level == .warning ? "PromQL warning: " : "PromQL info: "
            text += entry.text
            if let detail = entry.detail {
                text += ", from buckets \(floatGeneralText(detail.minBucket))"
                text += " to \(floatGeneralText(detail.maxBucket)), with a max diff of "
                text += floatGeneralText(detail.maxDifference, digits: 2)
                text += ", over \(entry.count) samples from "
                text += rfc3339Text(millis: detail.firstMillis / 1000 * 1000)
                text += " to " + rfc3339Text(millis: detail.lastMillis / 1000 * 1000)
            }
            return text + " (\(entry.range.position(in: query)))"
        }
    }
}
