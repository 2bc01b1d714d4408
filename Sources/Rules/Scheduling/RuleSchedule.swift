// SPDX-License-Identifier: Apache-2.0
// When a group is evaluated.

import Base

/// A grid on the wall clock, moved by a hash of the group's name: groups of one interval spread over
/// it, and a group keeps its place from start to start.
///
/// Source: prometheus/prometheus `rules/group.go`, `EvalTimestamp`.
package struct RuleSchedule: Sendable {
    let intervalNanos: Int64
    private let offsetNanos: Int64

    package init(_ group: RuleGroupDefinition) {
        intervalNanos = max(group.intervalMillis, 1) &* 1_000_000
        offsetNanos = Int64(hash64(Array(group.key.utf8)) % UInt64(intervalNanos))
    }

    /// The last time of the grid that is not after `nanos`.
    package func time(before nanos: Int64) -> Int64 {
        let moved = nanos &- offsetNanos
        var phase = moved % intervalNanos
        if phase < 0 { phase &+= intervalNanos }
        return moved &- phase &+ offsetNanos
    }

    /// The evaluation to do at `nanos` after that of `last`, and how many were missed between.
    func next(after last: Int64, now nanos: Int64) -> (timeNanos: Int64, missed: Int) {
        let missed = max(0, (nanos &- last) / intervalNanos - 1)
        return (last &+ (missed &+ 1) &* intervalNanos, Int(missed))
    }
}
