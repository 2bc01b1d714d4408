// SPDX-License-Identifier: Apache-2.0
// Which labels of a set stay.

import Base

/// Names of labels to keep or to leave out, made once per query: applying it to a series costs a walk
/// over the bytes and one array.
package struct LabelNameSet: Sendable {
    /// Ascending bytewise, like the names in a label set, so that one pass compares them all.
    private let names: [[UInt8]]
    private let keeps: Bool

    /// Whether no label stays.
    package var isEmpty: Bool { keeps && names.isEmpty }

    /// The only name that stays; nil when there are none, several or unknown ones.
    package var onlyName: [UInt8]? { keeps && names.count == 1 ? names[0] : nil }

    /// Whether the label of this name stays.
    package func contains(_ name: UnsafeRawBufferPointer) -> Bool {
        names.contains { $0.withUnsafeBytes { equalBytes($0, name) } } == keeps
    }

    package init(keeping names: [String]) { self.init(names, keeps: true) }
    package init(leavingOut names: [String]) { self.init(names, keeps: false) }

    private init(_ names: [String], keeps: Bool) {
        self.names = Set(names).map { [UInt8]($0.utf8) }
            .sorted { $0.lexicographicallyPrecedes($1) }
        self.keeps = keeps
    }

    /// Appends the canonical bytes of what stays of a canonical label set.
    package func apply(_ labels: UnsafeRawBufferPointer, appendingTo out: inout [UInt8]) {
        if keeps, names.isEmpty { return }
        var next = 0
        // What stays is copied in runs.
        var run = 0..<0
        forEachLabel(in: labels) { name, _, place in
            if isNamed(name, &next) != keeps {
                out.append(contentsOf: labels[run])
                run = place.upperBound..<place.upperBound
            } else {
                run = run.lowerBound..<place.upperBound
            }
        }
        out.append(contentsOf: labels[run])
    }

    /// Whether a name is in the set; names are asked for in ascending order.
    @inline(__always)
    private func isNamed(_ name: UnsafeRawBufferPointer, _ next: inout Int) -> Bool {
        while next < names.count {
            let order = names[next].withUnsafeBytes { compareBytes($0, name) }
            if order < 0 {
                next += 1
                continue
            }
            return order == 0
        }
        return false
    }

    package func apply(_ labels: Labels) -> Labels {
        if keeps, names.isEmpty { return .empty }
        var kept: [UInt8] = []
        kept.reserveCapacity(labels.bytes.count)
        labels.bytes.withUnsafeBytes { apply($0, appendingTo: &kept) }
        return kept.count == labels.bytes.count ? labels : Labels(canonical: kept)
    }
}
