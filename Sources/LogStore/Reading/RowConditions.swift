// SPDX-License-Identifier: Apache-2.0
// Conditions on labels of rows, over whole columns.

import Base
import Storage
import Telemetry

/// Conditions on a row's label: that of its stream or, where the stream has none of the name, that of
/// its structured metadata. A label that is missing counts as the empty value.
struct RowConditions {
    let matchers: [LabelMatcher]
    static let none = RowConditions(matchers: [])

    /// Conditions that structured metadata decides; nil when the stream fails one.
    func onMetadata(of stream: Labels) -> [LabelMatcher]? {
        if matchers.isEmpty { return matchers }
        var rest: [LabelMatcher] = []
        for matcher in matchers {
            guard let value = stream[matcher.name] else {
                rest.append(matcher)
                continue
            }
            if !matcher.matches(value) { return nil }
        }
        return rest
    }

    /// The ids that structured metadata must have.
    static func terms(of matchers: [LabelMatcher]) -> SearchTerms {
        var terms = SearchTerms()
        for matcher in matchers where matcher.operation == .equal {
            if matcher.value.utf8.count == 32, let trace = TraceID(hex: matcher.value) {
                terms.add(trace: trace)
            }
        }
        return terms
    }

    /// Narrows the rows of a head.
    static func apply(_ matchers: [LabelMatcher], to rows: DecodedRows) {
        var text: [UInt8] = []
        for matcher in matchers {
            rows.selection.removeAll { row in
                text.removeAll(keepingCapacity: true)
                rows.appendMetadata(Int(row), into: &text)
                return text.withUnsafeBytes { ![matcher].match($0) }
            }
        }
    }

    /// Rows of a block that satisfy conditions on its metadata; nil when none does.
    static func rows(
        of number: Int, in part: LogPart, _ matchers: [LabelMatcher], _ cache: FrameCache?
    ) throws -> BlockLines.Found? {
        let block = part.blocks[number]
        if block.metadata.count == 0 {
            return matchers.allSatisfy(\.matchesEmpty) ? .all : nil
        }
        return try part.column(block.metadata, number, cache) { bytes, owner in
            let columns = try MetadataColumns(bytes, owner: owner, rows: Int(block.rows))
            var result: [Bool]?
            for matcher in matchers {
                let hits = try columns.hits(matcher, rows: Int(block.rows)) {
                    try part.ids(number, cache)
                }
                switch hits {
                case .none: return nil
                case .all: continue
                case .some(let rows): result = result.map { zip($0, rows).map { $0 && $1 } } ?? rows
                }
            }
            guard let result else { return .all }
            return result.contains(true) ? .rows(result) : nil
        }
    }
}

extension MetadataColumns {
    /// Rows whose value of the matcher's key satisfies it. A value of a dictionary is tested once.
    func hits(
        _ matcher: LabelMatcher, rows n: Int, ids: () throws -> [RowIDs]
    ) throws -> ValueHits {
        var name = ByteWriter()
        name.lengthPrefixed(matcher.name)
        guard let column = columns.first(where: { $0.name == name.bytes }) else {
            return matcher.matchesEmpty ? .all : .none
        }
        var hits = [Bool](repeating: false, count: n)
        switch column.values {
        case .constant(let slice): return matches(matcher, slice) ? .all : .none
        case .perRow(let slices):
            var known: [ByteSlice: Bool] = [:]
            for row in 0..<n {
                if let answer = known[slices[row]] {
                    hits[row] = answer
                    continue
                }
                hits[row] = matches(matcher, slices[row])
                if known.count < LogFormat.Metadata.maxDictionary { known[slices[row]] = hits[row] }
            }
        case .traceID, .spanID:
            var isTrace = false
            if case .traceID = column.values { isTrace = true }
            let all = try ids()
            var digits: [UInt8] = []
            for row in 0..<min(n, all.count) {
                digits.removeAll(keepingCapacity: true)
                let id = all[row]
                if isTrace, id.traceHigh | id.traceLow != 0 {
                    appendHex(id.traceHigh, &digits)
                    appendHex(id.traceLow, &digits)
                } else if !isTrace, id.span != 0 {
                    appendHex(id.span, &digits)
                }
                hits[row] = digits.withUnsafeBytes { matcher.matches($0) }
            }
        }
        return hits.contains(true) ? .some(hits) : .none
    }

    private func matches(_ matcher: LabelMatcher, _ slice: ByteSlice) -> Bool {
        matcher.matches(UnsafeRawBufferPointer(rebasing: bytes[slice.range]))
    }
}
