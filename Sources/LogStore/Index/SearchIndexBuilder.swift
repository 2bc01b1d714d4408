// SPDX-License-Identifier: Apache-2.0
// Collects what lets searches pass over frames of lines.

import Base
import Storage
import Telemetry

/// Builds the words and ids sections of a part; see `LogFormat`.
///
/// The unit is the frame of lines: what has to be decompressed as a whole is skipped as a whole, and
/// many small blocks share their words. Templates are taken apart into words once, however many
/// lines they have; lines that are kept as they are, line by line.
struct SearchIndexBuilder {
    /// Distinct words of a unit, and of a part with their bytes. A unit with more is not listed:
    /// searches open it always.
    private static let maxUnitWords = 1 << 13
    private static let maxPartWords = 1 << 17
    private static let maxPartBytes = 4 << 20
    /// Parts with fewer units list no words: to open so few costs less than the dictionary takes.
    static let minListedUnits = 4
    /// zstd level of the dictionary, which is small.
    private static let dictionaryLevel: Int32 = 6
    /// Ids that a part-wide filter is made of.
    private static let maxPartIDs = 1 << 20

    private struct Unit {
        var frame: UInt32
        var isListed = true
        var words = 0
        /// Letters in what is not taken apart.
        var letters = LetterSurvey()
        var longestID = 0
        var idCount = 0
        var filter = ColumnLocation.none
    }
    /// In order of opening, which is not that of frames where some are taken over.
    private var units: [Unit] = []
    /// The one that lines are added to.
    private var open = 0
    /// Whether some units' ids are known by their filters only.
    private var hasCarriedIDs = false
    /// Whether words were added to units that are not the last.
    private var hasCarriedWords = false
    private var words = TextTable()
    /// Units of each word, ascending.
    private var postings: [[UInt32]] = []
    private var wordBytes = 0
    private var ids = KeySet()
    private var partIDs = KeySet()
    private var filterFrames = FrameWriter(
        targetCount: LogFormat.columnFrameTarget, compresses: false)

    /// Adds the lines of a block.
    ///
    /// - Parameters:
    ///   - frame: where they were placed; ascending.
    ///   - templated: their templates and values, if they are kept so.
    mutating func add(
        frame: UInt32, lines: [UInt8], lengths: [UInt32], templated: [UInt8]?, ids rowIDs: [RowIDs],
        metadata: MetadataEncoder, in store: inout FrameStore
    ) {
        if units.isEmpty || units[open].frame != frame {
            closeUnit(&store)
            open = units.count
            units.append(Unit(frame: frame))
        }
        if let templated {
            let shared = SharedBytes(templated)
            do {
                let block = try TemplateBlock(
                    shared.buffer, owner: shared, rows: lengths.count, total: lines.count
                ) { _ in rowIDs }
                addWords(of: block)
                var letters = LetterSurvey()
                for column in try block.columns() {
                    try column.survey(&letters) { addWords($0) }
                }
                units[open].letters.merge(letters)
            } catch {
                // What was just written can be read; if not, nothing may be skipped.
                units[open].isListed = false
            }
        }
        addIDs(metadata)
        let splitter =
            templated == nil
            ? LineSplitter(longest: Int(lengths.max() ?? 0), most: LogFormat.maxPlaces) : nil
        lines.withUnsafeBytes { lines in
            var offset = 0
            // Most lines have no long run of such digits.
            var nextRun = findHexRun(in: lines, from: 0)
            for (row, length) in lengths.enumerated() {
                let range = offset..<(offset + Int(length))
                offset += Int(length)
                if let splitter { addWords(of: range, lines, splitter) }
                if nextRun < offset {
                    addIDs(UnsafeRawBufferPointer(rebasing: lines[range]))
                    nextRun = findHexRun(in: lines, from: offset)
                }
                let ids = rowIDs[row]
                if ids.traceHigh | ids.traceLow != 0 {
                    add(id: HexRuns.key(high: ids.traceHigh, low: ids.traceLow))
                }
            }
        }
    }

    // MARK: - Words

    private mutating func addWords(of block: TemplateBlock) {
        for piece in block.pieces { addWords(piece) }
    }

    /// Values with digits are not taken apart: a word that is part of one is found by its letters.
    private mutating func addWords(
        of range: Range<Int>, _ lines: UnsafeRawBufferPointer, _ splitter: LineSplitter
    ) {
        let isSplit = splitter.split(range, of: lines) { text, values in
            addWords(text)
            for slice in values.bindMemory(to: ByteSlice.self) {
                let value = UnsafeRawBufferPointer(rebasing: lines[slice.range])
                if value.contains(where: { $0 &- UInt8(ascii: "0") < 10 }) {
                    units[open].letters.add(value)
                } else {
                    addWords(value)
                }
            }
            return true
        }
        if isSplit == nil { addWords(UnsafeRawBufferPointer(rebasing: lines[range])) }
    }

    private mutating func addWords(_ text: UnsafeRawBufferPointer) {
        guard units[open].isListed else { return }
        Words.forEach(in: text) { range in
            if range.count < Words.least { return }
            let word = UnsafeRawBufferPointer(rebasing: text[range])
            guard range.count <= Words.most else {
                units[open].letters.add(word)
                return
            }
            add(word: word, to: open)
        }
        dropIfLarge(open)
    }

    private mutating func add(word: UnsafeRawBufferPointer, to unit: Int) {
        let number = words.intern(word)
        if number == postings.count {
            postings.append([])
            wordBytes += word.count
        }
        guard postings[number].last != UInt32(unit) else { return }
        postings[number].append(UInt32(unit))
        units[unit].words += 1
    }

    private mutating func dropIfLarge(_ unit: Int) {
        if units[unit].words > SearchIndexBuilder.maxUnitWords
            || postings.count > SearchIndexBuilder.maxPartWords
            || wordBytes > SearchIndexBuilder.maxPartBytes
        {
            units[unit].isListed = false
        }
    }

    // MARK: - What is taken over

    /// Adds what another part knows of a frame of lines that is taken over as it is, but for its
    /// words.
    ///
    /// - Parameters:
    ///   - filter: of its ids; empty when there is none.
    ///   - frame: its number here.
    /// - Returns: the unit's number, for `carryWords`.
    mutating func carry(
        _ known: SearchIndex.Unit, filter: [UInt8], as frame: UInt32, in store: inout FrameStore
    ) -> Int {
        var unit = Unit(frame: frame)
        unit.isListed = known.isListed
        unit.letters = known.letters
        unit.longestID = known.longestID
        unit.idCount = known.ids.count
        unit.filter = filterFrames.place(filter, in: &store)
        hasCarriedIDs = hasCarriedIDs || known.ids.count > 0
        units.append(unit)
        return units.count - 1
    }

    /// Adds the words of units that were taken over.
    ///
    /// - Parameter carried: numbers here by numbers in the other part.
    mutating func carryWords(
        of dictionary: WordDictionary, _ carried: [Int: Int]
    ) throws(MalformedBytes) {
        hasCarriedWords = true
        try dictionary.forEach { word, unit in
            guard let here = carried[unit], units[here].isListed else { return }
            add(word: word, to: here)
            dropIfLarge(here)
        }
    }

    // MARK: - Ids

    private mutating func addIDs(_ line: UnsafeRawBufferPointer) {
        HexRuns.forEach(in: line) { range, kind, key in
            add(id: key)
            if kind == .run {
                units[open].longestID = max(units[open].longestID, range.count)
            }
        }
    }

    /// Values that are an id of 32 digits as a whole, as a condition on them would have it.
    private mutating func addIDs(_ metadata: MetadataEncoder) {
        metadata.forEachDistinct { pairs in
            forEachLabel(in: pairs) { _, value in
                guard value.count == 32 else { return }
                HexRuns.forEach(in: value) { range, _, key in
                    if range.count == 32 { add(id: key) }
                }
            }
        }
    }

    @inline(__always)
    private mutating func add(id key: UInt64) {
        if ids.keys.last != key { ids.insert(key) }
    }

    private mutating func closeUnit(_ store: inout FrameStore) {
        if ids.keys.isEmpty { return }
        units[open].idCount = ids.keys.count
        if let filter = XorFilter.encode(ids.keys) {
            units[open].filter = filterFrames.place(filter, in: &store)
        }
        for key in ids.keys where partIDs.keys.count <= SearchIndexBuilder.maxPartIDs {
            partIDs.insert(key)
        }
        ids.removeAll()
    }

    // MARK: - Sections

    /// Closes the last unit and writes the frames that the sections point at.
    mutating func finish(_ store: inout FrameStore) -> (words: [UInt8], ids: [UInt8]) {
        closeUnit(&store)
        if units.count < SearchIndexBuilder.minListedUnits {
            for unit in units.indices { units[unit].isListed = false }
            postings = []
        }
        sortUnits()
        var wordSection = ByteWriter(), idSection = ByteWriter()
        wordSection.varint(units.count)
        idSection.varint(units.count)
        var previous: UInt32?
        for unit in units {
            wordSection.varint(UInt64(previous.map { unit.frame - $0 - 1 } ?? unit.frame))
            previous = unit.frame
            wordSection.varint(
                UInt64(min(unit.letters.longestRun, LogFormat.maxFrameCount)) << 1
                    | (unit.isListed ? 1 : 0))
            wordSection.varint(unit.letters.letters)
            idSection.varint(UInt64(min(unit.longestID, LogFormat.maxFrameCount)))
            write(unit.idCount, unit.filter, &idSection)
        }
        var place = ColumnLocation.none
        if !postings.isEmpty {
            let dictionary = encodedWords()
            let frame = store.reserve()
            store.store(dictionary, as: frame, level: SearchIndexBuilder.dictionaryLevel)
            place = ColumnLocation(
                frame: UInt32(frame), offset: 0, count: UInt32(dictionary.count))
        }
        write(postings.count, place, &wordSection)
        var partFilter = ColumnLocation.none
        // A filter does not tell what it is made of, so none is made for all frames together.
        let all =
            partIDs.keys.count <= SearchIndexBuilder.maxPartIDs && units.count > 1
                && !hasCarriedIDs ? partIDs.keys : []
        if !all.isEmpty, let filter = XorFilter.encode(all) {
            partFilter = filterFrames.place(filter, in: &store)
        }
        filterFrames.flush(&store)
        write(all.count, partFilter, &idSection)
        return (wordSection.bytes, idSection.bytes)
    }

    /// Brings units into the order of frames, which those taken over are not in.
    private mutating func sortUnits() {
        let order = units.indices.sorted { units[$0].frame < units[$1].frame }
        if order.elementsEqual(units.indices), !hasCarriedWords { return }
        var ranks = [UInt32](repeating: 0, count: units.count)
        for (rank, unit) in order.enumerated() { ranks[unit] = UInt32(rank) }
        units = order.map { units[$0] }
        for word in postings.indices {
            // A unit that was added to in between is there twice.
            let sorted = postings[word].map { ranks[Int($0)] }.sorted()
            postings[word] = sorted.reduce(into: []) { if $0.last != $1 { $0.append($1) } }
        }
    }

    private func write(_ count: Int, _ place: ColumnLocation, _ out: inout ByteWriter) {
        out.varint(count)
        if count == 0 { return }
        out.varint(UInt64(place.frame))
        out.varint(UInt64(place.offset))
        out.varint(UInt64(place.count))
    }

    private func encodedWords() -> [UInt8] {
        let order = postings.indices.sorted {
            words.bytes($0).lexicographicallyPrecedes(words.bytes($1))
        }
        var out = ByteWriter()
        var previous: ArraySlice<UInt8> = []
        for number in order {
            let word = words.bytes(number)
            var shared = 0
            for (a, b) in zip(previous, word) {
                if a != b { break }
                shared += 1
            }
            out.u8(UInt8(shared))
            out.u8(UInt8(word.count - shared))
            out.raw(Array(word.dropFirst(shared)))
            previous = word
        }
        for number in order { writePostings(postings[number], &out) }
        return out.bytes
    }

    private func writePostings(_ list: [UInt32], _ out: inout ByteWriter) {
        out.varint(list.count)
        if list.count == units.count { return }
        if list.count * 8 > units.count {
            var bits = [UInt8](repeating: 0, count: (units.count + 7) / 8)
            for unit in list { bits[Int(unit) >> 3] |= 1 << UInt8(unit & 7) }
            out.raw(bits)
            return
        }
        var next: UInt32 = 0
        for unit in list {
            out.varint(UInt64(unit - next))
            next = unit + 1
        }
    }
}

/// Distinct keys in order of appearance.
private struct KeySet {
    private(set) var keys: [UInt64] = []
    /// Number + 1; 0 = free. Length is a power of two.
    private var slots = [UInt32](repeating: 0, count: 1024)

    /// - Parameter key: well mixed.
    @inline(__always)
    mutating func insert(_ key: UInt64) {
        var slot = Int(truncatingIfNeeded: key) & (slots.count - 1)
        while slots[slot] != 0 {
            if keys[Int(slots[slot]) - 1] == key { return }
            slot = (slot + 1) & (slots.count - 1)
        }
        keys.append(key)
        slots[slot] = UInt32(keys.count)
        if keys.count * 2 > slots.count { grow() }
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: slots.count * 4)
        for (number, key) in keys.enumerated() {
            var slot = Int(truncatingIfNeeded: key) & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = UInt32(number + 1)
        }
    }

    mutating func removeAll() {
        keys.removeAll(keepingCapacity: true)
        slots.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
    }
}
