// SPDX-License-Identifier: Apache-2.0
// What must be found in a frame of lines for it to be worth opening.

import Base
import Storage
import Telemetry

/// Words and ids that needles demand.
struct SearchTerms {
    struct ID {
        var key: UInt64
        /// Digits, where the needle's ends may cut a longer run; 0 = it is whole.
        var cutDigits: Int
    }
    private(set) var words: [NeedleWord] = []
    private(set) var ids: [ID] = []
    /// Whether a line must have at least one byte.
    private(set) var needsText = false

    var isEmpty: Bool { !needsText && ids.isEmpty }

    /// Demands that lines contain a needle.
    mutating func add(needle: [UInt8]) {
        guard !needle.isEmpty else { return }
        needsText = true
        words += NeedleWord.words(of: needle)
        needle.withUnsafeBytes { bytes in
            HexRuns.forEach(in: bytes) { range, kind, key in
                let isWhole =
                    kind == .uuid || (range.lowerBound > 0 && range.upperBound < bytes.count)
                ids.append(ID(key: key, cutDigits: isWhole ? 0 : range.count))
            }
        }
    }

    /// Demands that the row has a trace id.
    mutating func add(trace: TraceID) {
        ids.append(ID(key: HexRuns.key(high: trace.high, low: trace.low), cutDigits: 0))
    }
}

/// Says of the blocks of one part which need not be opened. Looks at words and filters when it is
/// first asked. Belongs to one thread.
final class BlockSkipper {
    private let part: LogPart
    private let conditions: RowConditions
    private let cache: FrameCache?
    private let context: ReadContext
    private let lines: UnitLookUp
    /// Conditions on numbers that the present stream's own labels do not decide, and the number of the
    /// name among the part's ranges.
    private var numbers: [(condition: NumberCondition, name: UInt32?)] = []
    /// What the metadata of the present stream's rows must have.
    private var metadata: UnitLookUp?
    /// By the ids that metadata must have.
    private var byIDs: [[UInt64]: UnitLookUp] = [:]

    init(
        _ part: LogPart, _ terms: SearchTerms, _ conditions: RowConditions, _ cache: FrameCache?,
        _ context: ReadContext
    ) {
        self.part = part
        self.conditions = conditions
        self.cache = cache
        self.context = context
        lines = UnitLookUp(part, terms, cache, context)
    }

    /// Turns to the blocks of a stream.
    ///
    /// - Returns: false when no row of the stream can be wanted.
    func begin(_ stream: Labels) -> Bool {
        guard let rest = conditions.onMetadata(of: stream) else { return false }
        numbers = rest.numbers.map { ($0, part.ranges.number(of: $0.name)) }
        if rest.matchers.isEmpty {
            metadata = nil
            return true
        }
        let terms = rest.terms
        let keys = terms.ids.map(\.key)
        if keys.isEmpty {
            metadata = nil
        } else if let known = byIDs[keys] {
            metadata = known
        } else {
            metadata = UnitLookUp(part, terms, cache, context)
            byIDs[keys] = metadata
        }
        return true
    }

    /// Whether no row of a block of the stream can be wanted; counts it then.
    func skips(_ number: Int) throws -> Bool {
        let block = part.blocks[number]
        let byNumbers = skipsByNumbers(number, block) ? BlockFate.skippedByNumbers : nil
        guard let fate = try byNumbers ?? lines.fate(block) ?? metadata?.fate(block) else {
            return false
        }
        context.count(blocks: 1, fate)
        return true
    }

    private func skipsByNumbers(_ number: Int, _ block: LogBlock) -> Bool {
        numbers.contains { condition, name in
            // A row without the label satisfies no condition on numbers.
            if block.metadata.count == 0 { return true }
            guard let name, let bounds = part.ranges.bounds(name, ofBlock: number) else {
                return false
            }
            return !condition.mayHold(bounds)
        }
    }
}

/// What a part's search index says of its frames of lines.
private final class UnitLookUp {
    private let part: LogPart
    private let terms: SearchTerms
    private let cache: FrameCache?
    private let context: ReadContext
    /// By unit; nil = to be opened.
    private var fates: [BlockFate?]?

    init(_ part: LogPart, _ terms: SearchTerms, _ cache: FrameCache?, _ context: ReadContext) {
        self.part = part
        self.terms = terms
        self.cache = cache
        self.context = context
    }

    /// Why a block need not be opened; nil when it must be.
    func fate(_ block: LogBlock) throws -> BlockFate? {
        if terms.isEmpty { return nil }
        if block.lines.count == 0 { return terms.needsText ? .skippedByWords : nil }
        guard let unit = part.search.unit(ofFrame: block.lines.frame) else { return nil }
        return try known()[unit]
    }

    private func known() throws -> [BlockFate?] {
        if let fates { return fates }
        var found = [BlockFate?](repeating: nil, count: part.search.units.count)
        do {
            try lookUpIDs(&found)
            try lookUpWords(&found)
        } catch let fault as PartCorruption {
            // Without its index a part is searched block by block.
            context.noteMissing(fault)
            found = found.map { _ in nil }
        }
        fates = found
        return found
    }

    private func lookUpWords(_ fates: inout [BlockFate?]) throws {
        guard !terms.words.isEmpty, fates.contains(where: { $0 == nil }) else { return }
        let units = part.search.units
        let found = try part.words(cache) { try $0.units(having: terms.words) }
        for (index, word) in terms.words.enumerated() {
            word.text.withUnsafeBytes { text in
                for unit in units.indices
                where fates[unit] == nil && units[unit].isListed && !found[index][unit]
                    && !units[unit].letters.mayHold(text)
                {
                    fates[unit] = .skippedByWords
                }
            }
        }
    }

    private func lookUpIDs(_ fates: inout [BlockFate?]) throws {
        let search = part.search
        for id in terms.ids {
            if id.cutDigits == 0 || search.longestID <= id.cutDigits, search.allIDs.count > 0,
                try !part.mayHold(id.key, search.allIDs, cache)
            {
                fates = fates.map { _ in .skippedByIDs }
                return
            }
            // Filters lie side by side in frames, and each frame is checked once.
            var frame: (number: UInt32, bytes: SharedBytes)?
            for unit in search.units.indices where fates[unit] == nil {
                if id.cutDigits > 0, search.units[unit].longestID > id.cutDigits { continue }
                let filter = search.units[unit].ids
                if filter.count > 0 {
                    if filter.place.count == 0 { continue }
                    if frame?.number != filter.place.frame {
                        frame = (
                            filter.place.frame, try part.frame(filter.place.frame, cache)
                        )
                    }
                    if let frame, try part.mayHold(id.key, filter, in: frame.bytes) { continue }
                }
                fates[unit] = .skippedByIDs
            }
        }
    }
}

extension LogPart {
    /// Calls `body` with the dictionary of words.
    func words<T>(_ cache: FrameCache?, _ body: (WordDictionary) throws -> T) throws -> T {
        let place = search.words.place
        if place.count == 0 {
            return try body(
                WordDictionary(
                    UnsafeRawBufferPointer(start: nil, count: 0), words: 0,
                    units: search.units.count))
        }
        let frame = try frame(place.frame, cache)
        do {
            return try frame.withBytes { _ in
                try body(
                    WordDictionary(
                        place.bytes(in: frame), words: search.words.count,
                        units: search.units.count))
            }
        } catch let error as MalformedBytes {
            throw fault(place.frame, "words: \(error)")
        }
    }

    func mayHold(
        _ key: UInt64, _ filter: SearchIndex.Filter, _ cache: FrameCache?
    ) throws -> Bool {
        if filter.place.count == 0 { return true }
        return try mayHold(key, filter, in: try frame(filter.place.frame, cache))
    }

    func mayHold(
        _ key: UInt64, _ filter: SearchIndex.Filter, in frame: SharedBytes
    ) throws -> Bool {
        do {
            return try frame.withBytes { _ in
                try XorFilter.mayContain(key, filter.place.bytes(in: frame))
            }
        } catch {
            throw fault(filter.place.frame, "filter of ids: \(error)")
        }
    }

    /// Reads the whole search index.
    func checkSearchIndex(_ cache: FrameCache?) throws {
        try words(cache) { try $0.check() }
        for filter in search.units.map(\.ids) + [search.allIDs] where filter.count > 0 {
            _ = try mayHold(0, filter, cache)
        }
    }
}
