// SPDX-License-Identifier: Apache-2.0
// Leaves deleted rows out of what is read.

import Base
import Telemetry

/// A deletion with what its query means.
struct CompiledDeletion: Sendable {
    var deletion: LogDeletion
    var rule: LogDeletionRule

    /// Whether nothing is left of a stream between two times.
    func coversAll(of labels: Labels, _ first: Int64, _ last: Int64) -> Bool {
        rule.makeTest == nil && deletion.range.contains(first) && deletion.range.contains(last)
            && rule.matchers.match(labels)
    }
}

/// Applies deletions to decoded blocks. Belongs to one merge on one thread.
struct DeletionFilter {
    private var tests: [String: any LogRowTest] = [:]
    private var metadata: [UInt8] = []
    /// What was left out, by request.
    private(set) var removed: [String: LogRemoval] = [:]
    /// Whether to count what is left out: costs the metadata of each such row.
    private let counts: Bool

    init(counts: Bool) { self.counts = counts }

    /// Takes deleted rows out of the selection of a block's rows.
    ///
    /// - Throws: what keeps a query from being compiled.
    mutating func apply(
        _ deletions: [CompiledDeletion], to rows: DecodedRows, of labels: Labels
    ) throws {
        for compiled in deletions {
            guard let first = rows.selection.first, let last = rows.selection.last,
                compiled.deletion.range.overlaps(
                    first: rows.nanos[Int(first)], last: rows.nanos[Int(last)]),
                compiled.rule.matchers.match(labels)
            else { continue }
            let test = try test(of: compiled)
            var kept: [UInt32] = []
            kept.reserveCapacity(rows.selection.count)
            var removal = removed[compiled.deletion.id] ?? LogRemoval()
            labels.bytes.withUnsafeBytes { streamLabels in
                for row in rows.selection {
                    let row = Int(row)
                    guard compiled.deletion.range.contains(rows.nanos[row]),
                        covers(test, rows, row, streamLabels)
                    else {
                        kept.append(UInt32(row))
                        continue
                    }
                    removal.rows += 1
                    removal.bytes += rows.line(row).count + metadata.count
                }
            }
            if counts { removed[compiled.deletion.id] = removal }
            rows.selection = kept
        }
    }

    private mutating func covers(
        _ test: (any LogRowTest)?, _ rows: DecodedRows, _ row: Int,
        _ streamLabels: UnsafeRawBufferPointer
    ) -> Bool {
        metadata.removeAll(keepingCapacity: true)
        if counts || test != nil { rows.appendMetadata(row, into: &metadata) }
        guard let test else { return true }
        return metadata.withUnsafeBytes {
            test.covers(
                line: rows.line(row), nanos: rows.nanos[row], streamLabels: streamLabels,
                metadata: $0)
        }
    }

    private mutating func test(of compiled: CompiledDeletion) throws -> (any LogRowTest)? {
        guard let make = compiled.rule.makeTest else { return nil }
        if let known = tests[compiled.deletion.query] { return known }
        let made = try make()
        tests[compiled.deletion.query] = made
        return made
    }
}
