// SPDX-License-Identifier: Apache-2.0
// Lines that wait for later ones to overtake them.

import LogQL

/// Lines in order of time, held back for a while: senders that are behind others get their lines in
/// front (`delay_for`). Source: grafana/loki `pkg/querier/tail.go`; unlike there a line whose time
/// lies ahead waits no longer than the delay.
struct TailPending {
    static let lineLimit = 20_000
    static let byteLimit = 8 << 20

    private struct Held {
        var line: TailedLine
        var releaseNanos: Int64
        var byteCount: Int
    }
    private let delayNanos: Int64
    private var held: [Held] = []
    private var byteCount = 0

    init(delayNanos: Int64) { self.delayNanos = delayNanos }

    var isEmpty: Bool { held.isEmpty }

    /// - Parameter now: the wall clock, as in `release`.
    mutating func add(_ line: TailedLine, nowNanos now: Int64) {
        let (release, overflow) = min(line.entry.nanos, now).addingReportingOverflow(delayNanos)
        let size = line.entry.line.count + 128
        held.append(
            Held(line: line, releaseNanos: overflow ? now : release, byteCount: size))
        byteCount += size
    }

    /// Takes out the lines whose time has come, oldest first; all of them when too many wait.
    mutating func release(nowNanos now: Int64) -> [TailedLine] {
        if held.isEmpty { return [] }
        let isFull = held.count > Self.lineLimit || byteCount > Self.byteLimit
        var due: [TailedLine] = []
        var kept: [Held] = []
        for one in held {
            if isFull || one.releaseNanos <= now {
                due.append(one.line)
                byteCount -= one.byteCount
            } else {
                kept.append(one)
            }
        }
        held = kept
        // Stable, so that lines of equal time stay in order of arrival.
        return due.enumerated().sorted {
            ($0.element.entry.nanos, $0.offset) < ($1.element.entry.nanos, $1.offset)
        }.map(\.element)
    }
}
