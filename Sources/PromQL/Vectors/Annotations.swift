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
        var showsCount = false
    }
    /// Messages name series, of which there may be many; readers are shown a few.
    private static let maxEntries = 1000
    private var entries: [Entry] = []
    private var index: [String: Int] = [:]

    package init() {}

    package func add(_ level: Level, _ text: String, at range: SourceRange) {
        if let known = index[text] {
            entries[known].count += 1
            return
        }
        if entries.count >= Annotations.maxEntries { return }
        index[text] = entries.count
        entries.append(Entry(level: level, text: text, range: range))
    }

    /// A warning that tells how often it occurred.
    func warnStartOverlap(_ text: String, at range: SourceRange) {
        add(.warning, text, at: range)
        if let known = index[text] { entries[known].showsCount = true }
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

        func merged(with other: MonotonicityDetail) -> MonotonicityDetail {
            MonotonicityDetail(
                firstMillis: min(firstMillis, other.firstMillis),
                lastMillis: max(lastMillis, other.lastMillis),
                minBucket: min(minBucket, other.minBucket),
                maxBucket: max(maxBucket, other.maxBucket),
                maxDifference: max(maxDifference, other.maxDifference))
        }
    }

    func addForcedMonotonicity(
        _ text: String, _ detail: MonotonicityDetail, at range: SourceRange
    ) {
        guard let known = index[text], let merged = entries[known].detail else {
            if entries.count >= Annotations.maxEntries { return }
            index[text] = entries.count
            entries.append(Entry(level: .info, text: text, range: range, detail: detail))
            return
        }
        entries[known].detail = merged.merged(with: detail)
        entries[known].count += 1
    }

    package var isEmpty: Bool { entries.isEmpty }

    /// Takes over what another part of the same evaluation had to say, as if said here and now.
    func append(_ other: Annotations) {
        for entry in other.entries { append(entry) }
    }

    private func append(_ entry: Entry) {
        if let known = index[entry.text] {
            entries[known].count += entry.count
            entries[known].showsCount = entries[known].showsCount || entry.showsCount
            if let old = entries[known].detail, let new = entry.detail {
                entries[known].detail = old.merged(with: new)
            }
        } else if entries.count < Annotations.maxEntries {
            index[entry.text] = entries.count
            entries.append(entry)
        }
    }

    /// How far one list was passed on to another.
    struct Mark {
        /// Of each entry, how often it had been added.
        fileprivate var counts: [Int] = []
    }

    /// Takes over what another list has gained since the mark, and moves the mark.
    func append(_ other: Annotations, since mark: inout Mark) {
        if other.entries.isEmpty { return }
        for (number, entry) in other.entries.enumerated() {
            if number == mark.counts.count { mark.counts.append(0) }
            let gained = entry.count - mark.counts[number]
            if gained == 0 { continue }
            mark.counts[number] = entry.count
            var news = entry
            news.count = gained
            append(news)
        }
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
            if entry.showsCount, entry.count > 1 { text += " (\(entry.count) occurrences)" }
            return text + " (\(entry.range.position(in: query)))"
        }
    }
}
