// SPDX-License-Identifier: Apache-2.0
// How a needle can lie in lines of one template.

import Base
import Telemetry

/// What the values of a line must look like for a needle to lie in it.
enum NeedlePlan {
    struct Condition {
        /// Of the template's values, from 0.
        var place: Int
        var kind: ValueCondition
        /// Bytes of the needle.
        var text: Range<Int>
    }

    /// No line of the template can have it.
    case never
    /// Every line has it, in the template's own text.
    case always
    /// A line has it when all conditions of one way hold.
    case ways([[Condition]])
    /// Too many ways: lines must be looked at.
    case unknown

    private static let maxWays = 32

    /// - Parameters:
    ///   - pieces: the template's text around its places, one more than places.
    ///   - needle: not empty.
    ///
    /// Relies on what the format says of values: those of a field end where it ends, others are ASCII
    /// letters and digits, except where the template is nothing but one value.
    init(_ pieces: ArraySlice<UnsafeRawBufferPointer>, _ needle: UnsafeRawBufferPointer) {
        for piece in pieces where piece.count >= needle.count && find(needle, in: piece) != nil {
            self = .always
            return
        }
        let pieces = Array(pieces)
        let places = pieces.count - 1
        if places == 0 {
            self = .never
            return
        }
        if places == 1, pieces[0].isEmpty, pieces[1].isEmpty {
            let whole = Condition(place: 0, kind: .contains, text: 0..<needle.count)
            self = .ways([[whole]])
            return
        }
        var search = Search(pieces: pieces, needle: needle)
        search.run()
        if search.ways.isEmpty {
            self = .never
        } else if search.ways.count > NeedlePlan.maxWays {
            self = .unknown
        } else {
            self = .ways(search.ways)
        }
    }

    private struct Search {
        let pieces: [UnsafeRawBufferPointer]
        let needle: UnsafeRawBufferPointer
        var ways: [[Condition]] = []
        private var path: [Condition] = []
        /// What may stand in the values of each place.
        private let alphabets: [LineSplitter.Alphabet]

        init(pieces: [UnsafeRawBufferPointer], needle: UnsafeRawBufferPointer) {
            self.pieces = pieces
            self.needle = needle
            alphabets = pieces.dropLast().map { LineSplitter.Alphabet(before: $0) }
        }

        mutating func run() {
            let count = needle.count
            for place in 0..<(pieces.count - 1) {
                let leading = valueEnd(place, from: 0)
                // From inside the text in front of the value.
                path = []
                let piece = pieces[place]
                var overlap = min(piece.count, count - 1)
                while overlap > 0 {
                    if piece[piece.count - overlap] == needle[0],
                        isSame(piece, from: piece.count - overlap, 0, overlap)
                    {
                        value(place, from: overlap)
                    }
                    overlap -= 1
                }
                // From inside the value.
                if leading == count {
                    ways.append([Condition(place: place, kind: .contains, text: 0..<count)])
                }
                if leading > 0 {
                    for end in 1...leading where end < count && mayFollow(place + 1, end) {
                        path = [Condition(place: place, kind: .suffix, text: 0..<end)]
                        text(place + 1, from: end)
                    }
                }
                if ways.count > NeedlePlan.maxWays { return }
            }
        }

        /// The needle goes on from `start` where a value begins.
        private mutating func value(_ place: Int, from start: Int) {
            if ways.count > NeedlePlan.maxWays { return }
            let leading = valueEnd(place, from: start)
            if leading == needle.count {
                ways.append(
                    path + [Condition(place: place, kind: .prefix, text: start..<leading)])
            }
            guard leading > start else { return }
            for end in (start + 1)...leading where end < needle.count && mayFollow(place + 1, end) {
                path.append(Condition(place: place, kind: .equals, text: start..<end))
                text(place + 1, from: end)
                path.removeLast()
            }
        }

        /// The needle goes on from `start` where a piece begins.
        private mutating func text(_ index: Int, from start: Int) {
            let piece = pieces[index]
            let rest = needle.count - start
            if rest <= piece.count {
                if isSame(piece, from: 0, start, rest) { ways.append(path) }
            } else if index < pieces.count - 1, isSame(piece, from: 0, start, piece.count) {
                value(index, from: start + piece.count)
            }
        }

        private func mayFollow(_ index: Int, _ start: Int) -> Bool {
            let piece = pieces[index]
            if piece.isEmpty { return index < pieces.count - 1 }
            return piece[0] == needle[start]
        }

        private func isSame(
            _ piece: UnsafeRawBufferPointer, from offset: Int, _ start: Int, _ count: Int
        ) -> Bool {
            for index in 0..<count where piece[offset &+ index] != needle[start &+ index] {
                return false
            }
            return true
        }

        /// End of what may be in a value of the place and begins at `start`.
        private func valueEnd(_ place: Int, from start: Int) -> Int {
            var end = start
            while end < needle.count, alphabets[place].contains(needle[end]) { end += 1 }
            return end
        }
    }
}

extension TemplateBlock {
    /// Rows whose lines have the needle; nil when none has, and without looking at rows then.
    ///
    /// - Parameter needle: not empty.
    /// - Complexity: O(templates × needle) plus the columns in question.
    func rowsContaining(_ needle: UnsafeRawBufferPointer) throws -> [Bool]? {
        enum Answer {
            case never, always
            case some([Bool])
        }
        var answers: [Answer] = []
        answers.reserveCapacity(templates.count)
        var isAny = false
        for number in templates.indices {
            let hits: ValueHits
            let template = templates[number]
            let text = pieces[template.firstPiece...(template.firstPiece + template.places)]
            switch NeedlePlan(text, needle) {
            case .never: hits = .none
            case .always: hits = templates[number].rows > 0 ? .all : .none
            case .unknown: hits = try rebuilt(number, needle)
            case .ways(let ways): hits = try self.hits(number, ways, needle)
            }
            switch hits {
            case .none: answers.append(.never)
            case .all: answers.append(.always)
            case .some(let rows): answers.append(.some(rows))
            }
            if case .never = answers[number] { continue }
            isAny = true
        }
        guard isAny else { return nil }
        var next = [Int](repeating: 0, count: templates.count)
        var result = [Bool](repeating: false, count: rows)
        for row in 0..<rows {
            let number = numbers[row]
            switch answers[number] {
            case .never: break
            case .always: result[row] = true
            case .some(let hits):
                result[row] = hits[next[number]]
                next[number] &+= 1
            }
        }
        return result
    }

    /// Rows of a template for which one of the ways holds.
    private func hits(
        _ number: Int, _ ways: [[NeedlePlan.Condition]], _ needle: UnsafeRawBufferPointer
    ) throws -> ValueHits {
        let columns = try columns()
        var result: [Bool]?
        ways: for way in ways {
            var all: [Bool]?
            for condition in way {
                let column = columns[templates[number].firstColumn + condition.place]
                let text = UnsafeRawBufferPointer(rebasing: needle[condition.text])
                switch try column.hits(condition.kind, text, ids: { try ids(of: number) }) {
                case .none: continue ways
                case .all: break
                case .some(let rows): all = all.map { zip($0, rows).map { $0 && $1 } } ?? rows
                }
            }
            guard let all else { return templates[number].rows > 0 ? .all : .none }
            result = result.map { zip($0, all).map { $0 || $1 } } ?? all
        }
        guard let result, result.contains(true) else { return .none }
        return .some(result)
    }

    /// Looks at the lines of a template themselves.
    private func rebuilt(_ number: Int, _ needle: UnsafeRawBufferPointer) throws -> ValueHits {
        let selection = (0..<rows).filter { numbers[$0] == number }.map { UInt32($0) }
        let (text, lines) = try build(selection)
        return text.withBytes { bytes in
            .some(
                selection.map { row in
                    let line = UnsafeRawBufferPointer(rebasing: bytes[lines[Int(row)].range])
                    return find(needle, in: line) != nil
                })
        }
    }
}
