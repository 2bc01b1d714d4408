// SPDX-License-Identifier: Apache-2.0
// Patterns of the lines of a selector, with how often they occur.

import Base
import Telemetry

/// Lines of one pattern and level over time.
package struct LogPattern: Sendable, Equatable {
    /// As `|>` takes it.
    package var pattern: String
    /// `detected_level` of the lines; empty when they have none.
    package var level: String
    /// Start of the step in Unix seconds, and lines in it; ascending, without empty steps.
    package var samples: [(seconds: Int64, count: Int)]
    package var total: Int { samples.reduce(0) { $0 + $1.count } }

    package static func == (a: LogPattern, b: LogPattern) -> Bool {
        a.pattern == b.pattern && a.level == b.level && a.samples.elementsEqual(b.samples, by: ==)
    }
}

extension LogQLEngine {
    /// Patterns of the lines that match a selector, the most frequent first.
    ///
    /// Groups and samples count as memory of the query.
    ///
    /// - Parameter stepSeconds: of the samples; positive. Steps begin at its multiples.
    /// - Throws: `QueryInterruption`, what the reader throws.
    package func patterns(
        _ request: LogRequest, stepSeconds: Int64, _ context: ReadContext
    ) throws -> [LogPattern] {
        var miners: [String: PatternMiner] = [:]
        // Level, group and step to lines.
        var counts: [PatternKey: [Int64: Int]] = [:]
        let width = max(stepSeconds, 1)
        try reader.read(request, context) { batch in
            try context.check()
            try batch.arena.withUnsafeBytes { arena in
                for row in 0..<batch.rowCount where request.range.contains(batch.nanos[row]) {
                    let metadata = arena.part(batch.metadata[row].range)
                    let level = LogQLEngine.detectedLevel(metadata)
                    let line = arena.part(batch.lines[row].range)
                    let groups = miners[level]?.groups.count ?? 0
                    guard let group = miners[level, default: PatternMiner()].add(line) else {
                        continue
                    }
                    // Levels are the sender's words, groups are made of lines.
                    if groups == 0 { try context.reserve(256 + 2 * level.utf8.count) }
                    if group == groups { try context.reserve(256 + 32 * line.count) }
                    let seconds = batch.nanos[row] / 1_000_000_000
                    let step = seconds - (seconds % width + width) % width
                    let key = PatternKey(level: level, group: group)
                    if counts[key]?[step] == nil { try context.reserve(64) }
                    counts[key, default: [:]][step, default: 0] += 1
                }
            }
            return true
        }
        var found: [LogPattern] = []
        for (key, steps) in counts {
            guard let group = miners[key.level]?.groups[key.group] else { continue }
            found.append(
                LogPattern(
                    pattern: group.pattern, level: key.level,
                    samples: steps.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }))
        }
        return found.sorted {
            $0.total == $1.total
                ? ($0.pattern, $0.level) < ($1.pattern, $1.level) : $0.total > $1.total
        }
    }

    private static func detectedLevel(_ metadata: Bytes) -> String {
        levelName.withUnsafeBytes { labelValue(of: $0, in: metadata) }?.text ?? ""
    }

    private static let levelName = Array("detected_level".utf8)
}

private struct PatternKey: Hashable {
    var level: String
    var group: Int
}
