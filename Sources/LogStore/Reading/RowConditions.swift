// SPDX-License-Identifier: Apache-2.0
// Conditions on labels of rows, over whole columns.

import Base
import Storage
import Telemetry

/// Conditions on a row's label: that of its stream or, where the stream has none of the name, that of
/// its structured metadata. A label that is missing counts as the empty value.
struct RowConditions {
    private(set) var matchers: [LabelMatcher]
    /// A row without the label satisfies none of these.
    private(set) var numbers: [NumberCondition]
    static let none = RowConditions(matchers: [], numbers: [])

    private init(matchers: [LabelMatcher], numbers: [NumberCondition]) {
        self.matchers = matchers
        self.numbers = numbers
    }

    init(_ request: LogRequest) {
        self.init(matchers: request.conditions, numbers: request.numbers)
    }

    var isEmpty: Bool { matchers.isEmpty && numbers.isEmpty }

    /// Conditions that structured metadata decides; nil when the stream fails one.
    func onMetadata(of stream: Labels) -> RowConditions? {
        if isEmpty { return self }
        var rest = RowConditions.none
        for matcher in matchers {
            guard let value = stream[matcher.name] else {
                rest.matchers.append(matcher)
                continue
            }
            if !matcher.matches(value) { return nil }
        }
        for condition in numbers {
            guard var value = stream[condition.name] else {
                rest.numbers.append(condition)
                continue
            }
            if !value.withUTF8({ condition.mayHold(UnsafeRawBufferPointer($0)) }) { return nil }
        }
        return rest
    }

    /// The ids that structured metadata must have.
    var terms: SearchTerms {
        var terms = SearchTerms()
        for matcher in matchers where matcher.operation == .equal {
            if matcher.value.utf8.count == 32, let trace = TraceID(hex: matcher.value) {
                terms.add(trace: trace)
            }
        }
        return terms
    }

    /// Narrows the rows of a head.
    func apply(to rows: DecodedRows) {
        if isEmpty { return }
        let names = numbers.map { Array($0.name.utf8) }
        var text: [UInt8] = []
        rows.selection.removeAll { row in
            text.removeAll(keepingCapacity: true)
            rows.appendMetadata(Int(row), into: &text)
            return text.withUnsafeBytes { labels in
                !matchers.match(labels)
                    || zip(numbers, names).contains { condition, name in
                        let value = name.withUnsafeBytes { labelValue(of: $0, in: labels) }
                        return !(value.map(condition.mayHold) ?? false)
                    }
            }
        }
    }

    /// Rows of a block that satisfy conditions on its metadata; nil when none does.
    func rows(
        of number: Int, in part: LogPart, _ cache: FrameCache?
    ) throws -> BlockLines.Found? {
        let block = part.blocks[number]
        if block.metadata.count == 0 {
            return numbers.isEmpty && matchers.allSatisfy(\.matchesEmpty) ? .all : nil
        }
        return try part.column(block.metadata, number, cache) { bytes, owner in
            let columns = try MetadataColumns(bytes, owner: owner, rows: Int(block.rows))
            var result: [Bool]?
            func narrow(
                _ name: String, matchesEmpty: Bool, _ matches: (UnsafeRawBufferPointer) -> Bool
            ) throws -> Bool {
                let hits = try columns.hits(
                    name, rows: Int(block.rows), matchesEmpty: matchesEmpty, matches
                ) { try part.ids(number, cache) }
                switch hits {
                case .none: return false
                case .all: return true
                case .some(let rows): result = result.map { zip($0, rows).map { $0 && $1 } } ?? rows
                }
                return true
            }
            for matcher in matchers {
                guard
                    try narrow(
                        matcher.name, matchesEmpty: matcher.matchesEmpty, { matcher.matches($0) })
                else { return nil }
            }
            for condition in numbers {
                guard
                    try narrow(condition.name, matchesEmpty: false, { condition.mayHold($0) })
                else { return nil }
            }
            guard let result else { return .all }
            return result.contains(true) ? .rows(result) : nil
        }
    }
}

extension MetadataColumns {
    /// Rows whose value of a key satisfies a test; one that is missing is empty. A value of a
    /// dictionary is tested once.
    func hits(
        _ name: String, rows n: Int, matchesEmpty: Bool,
        _ test: (UnsafeRawBufferPointer) -> Bool, ids: () throws -> [RowIDs]
    ) throws -> ValueHits {
        func matches(_ slice: ByteSlice) -> Bool {
            test(UnsafeRawBufferPointer(rebasing: bytes[slice.range]))
        }
        var prefix = ByteWriter()
        prefix.lengthPrefixed(name)
        guard let column = columns.first(where: { $0.name == prefix.bytes }) else {
            return matchesEmpty ? .all : .none
        }
        var hits = [Bool](repeating: false, count: n)
        switch column.values {
        case .constant(let slice): return matches(slice) ? .all : .none
        case .perRow(let slices):
            var known: [ByteSlice: Bool] = [:]
            for row in 0..<n {
                if let answer = known[slices[row]] {
                    hits[row] = answer
                    continue
                }
                hits[row] = matches(slices[row])
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
                hits[row] = digits.withUnsafeBytes { test($0) }
            }
        }
        return hits.contains(true) ? .some(hits) : .none
    }
}
