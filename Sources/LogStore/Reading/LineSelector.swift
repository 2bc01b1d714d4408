// SPDX-License-Identifier: Apache-2.0
// Line filters over whole columns.

import Base
import Telemetry

/// Compiled line filters. May keep rows that fail a filter, never drops one that passes: engines
/// check again with their own rules. Text that a regular expression cannot match without is a filter
/// of its own, for which blocks are skipped and columns searched.
struct LineSelector {
    private enum Test {
        case contains([UInt8])
        case notContains([UInt8])
        case matches(RegularExpression)
        case notMatches(RegularExpression)
    }
    private var tests: [Test] = []
    /// Whether no line can pass.
    private(set) var rejectsAll = false

    static let none = LineSelector()
    private init() {}

    /// - Throws: `RegexError` when a pattern does not compile.
    init(_ filters: [LineFilter]) throws(RegexError) {
        var expressions: [Test] = []
        for filter in filters {
            let text = Array(filter.text.utf8)
            switch filter.kind {
            case .contains: if !text.isEmpty { tests.append(.contains(text)) }
            case .notContains:
                if text.isEmpty { rejectsAll = true } else { tests.append(.notContains(text)) }
            // A dot that matches newlines only ever matches more, so each side errs towards
            // keeping the row whatever the engine's rule is.
            case .matches:
                expressions.append(
                    .matches(try RegularExpression(filter.text, [.dotMatchesNewline])))
                tests += RequiredLiterals.of(filter.text).map { .contains($0) }
            case .notMatches: expressions.append(.notMatches(try RegularExpression(filter.text)))
            }
        }
        // Cheap tests first.
        tests += expressions
    }

    var isEmpty: Bool { tests.isEmpty && !rejectsAll }

    /// What lines must have.
    var terms: SearchTerms {
        var terms = SearchTerms()
        for case .contains(let needle) in tests { terms.add(needle: needle) }
        return terms
    }

    /// Whether any line of a text that holds many may pass.
    func mayHold(_ text: UnsafeRawBufferPointer) -> Bool {
        if rejectsAll { return false }
        for case .contains(let needle) in tests
        where needle.withUnsafeBytes({ find($0, in: text) }) == nil {
            return false
        }
        return true
    }

    /// Rows of a block that pass all needles; nil when none does.
    func rows(of block: TemplateBlock) throws -> BlockLines.Found? {
        if rejectsAll { return nil }
        var result: [Bool]?
        for test in tests {
            let needle: [UInt8]
            let isWanted: Bool
            switch test {
            case .contains(let text): (needle, isWanted) = (text, true)
            case .notContains(let text): (needle, isWanted) = (text, false)
            case .matches, .notMatches: continue
            }
            guard let hits = try needle.withUnsafeBytes({ try block.rowsContaining($0) }) else {
                if isWanted { return nil }
                continue
            }
            if let known = result {
                result = zip(known, hits).map { $0 && $1 == isWanted }
            } else {
                result = isWanted ? hits : hits.map { !$0 }
            }
        }
        guard let result else { return .all }
        return result.contains(true) ? .rows(result) : nil
    }

    /// Narrows the selection to rows that may pass.
    ///
    /// - Parameter needlesAreFound: whether `rows(of:)` has been at work already.
    func apply(to rows: DecodedRows, needlesAreFound: Bool = false) {
        if rejectsAll { rows.selection = [] }
        for test in tests {
            if rows.selection.isEmpty { return }
            switch test {
            case .contains where needlesAreFound, .notContains where needlesAreFound: continue
            case .contains(let needle): keep(rows, having: needle, true)
            case .notContains(let needle): keep(rows, having: needle, false)
            case .matches(let expression):
                rows.selection.removeAll { row in
                    let line = rows.line(Int(row))
                    // RE2's dot does not match bytes that are not UTF-8; elsewhere it may.
                    return !expression.matchesAnywhere(line) && isValidUTF8(line)
                }
            case .notMatches(let expression):
                rows.selection.removeAll { expression.matchesAnywhere(rows.line(Int($0))) }
            }
        }
    }

    private func keep(_ rows: DecodedRows, having needle: [UInt8], _ wanted: Bool) {
        needle.withUnsafeBytes { needle in
            guard rows.isContiguous, rows.selection.count * 8 >= rows.lines.count else {
                rows.selection.removeAll {
                    (find(needle, in: rows.line(Int($0))) != nil) != wanted
                }
                return
            }
            let hits = rowsContaining(needle, rows)
            rows.selection.removeAll { hits[Int($0)] != wanted }
        }
    }

    /// Searches the column as one text and maps hits to rows. A hit that crosses the end of a line
    /// is none.
    private func rowsContaining(
        _ needle: UnsafeRawBufferPointer, _ rows: DecodedRows
    ) -> [Bool] {
        var hits = [Bool](repeating: false, count: rows.lines.count)
        guard let first = rows.selection.first, let last = rows.selection.last else { return hits }
        let end = rows.lines[Int(last)].range.upperBound
        var row = Int(first)
        var position = rows.lines[row].range.lowerBound
        while position < end {
            let rest = UnsafeRawBufferPointer(rebasing: rows.base[position..<end])
            guard let found = find(needle, in: rest) else { break }
            let hit = position + found
            row = rowHolding(hit, from: row, rows.lines)
            let rowEnd = rows.lines[row].range.upperBound
            if hit + needle.count <= rowEnd {
                hits[row] = true
                position = rowEnd
            } else {
                position = hit + 1
            }
        }
        return hits
    }

    /// The row whose line holds the byte at `offset`: gallops from the row of the hit before.
    private func rowHolding(_ offset: Int, from start: Int, _ lines: [ByteSlice]) -> Int {
        var low = start, step = 1
        var high = start
        while high < lines.count, lines[high].range.upperBound <= offset {
            low = high + 1
            high += step
            step *= 2
        }
        high = min(high, lines.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if lines[middle].range.upperBound <= offset { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
