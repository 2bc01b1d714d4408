// SPDX-License-Identifier: Apache-2.0
// Collects what lets searches pass over frames of lines.

import Base
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
    private static let minListedUnits = 4
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
    private var units: [Unit] = []
    private var words = TextTable()
    /// Units of each word, ascending.
    private var postings: [[UInt32]] = []
    private var wordBytes = 0
    private var ids: [UInt64] = []
    private var partIDs: [UInt64] = []
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
        if units.last?.frame != frame {
            closeUnit(&store)
            units.append(Unit(frame: frame))
        }
        if let templated {
            let shared = SharedBytes(templated)
            do {
                let block = try TemplateBlock(
                    shared.buffer, owner: shared, rows: lengths.count, total: lines.count
                ) { rowIDs }
                addWords(of: block)
                var letters = LetterSurvey()
                for column in try block.columns() {
                    try column.survey(&letters) { addWords($0) }
                }
                units[units.count - 1].letters.merge(letters)
            } catch {
                // What was just written can be read; if not, nothing may be skipped.
                units[units.count - 1].isListed = false
            }
        }
        addIDs(metadata)
        let splitter =
            templated == nil
            ? LineSplitter(longest: Int(lengths.max() ?? 0), most: LogFormat.maxPlaces) : nil
        lines.withUnsafeBytes { lines in
            var offset = 0
            for (row, length) in lengths.enumerated() {
                let range = offset..<(offset + Int(length))
                offset += Int(length)
                if let splitter { addWords(of: range, lines, splitter) }
                addIDs(UnsafeRawBufferPointer(rebasing: lines[range]), rowIDs[row])
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
                    units[units.count - 1].letters.add(value)
                } else {
                    addWords(value)
                }
            }
            return true
        }
        if isSplit == nil { addWords(UnsafeRawBufferPointer(rebasing: lines[range])) }
    }

    private mutating func addWords(_ text: UnsafeRawBufferPointer) {
        let unit = units.count - 1
        guard units[unit].isListed else { return }
        Words.forEach(in: text) { range in
            if range.count < Words.least { return }
            let word = UnsafeRawBufferPointer(rebasing: text[range])
            guard range.count <= Words.most else {
                units[unit].letters.add(word)
                return
            }
            let number = words.intern(word)
            if number == postings.count {
                postings.append([])
                wordBytes += word.count
            }
            guard postings[number].last != UInt32(unit) else { return }
            postings[number].append(UInt32(unit))
            units[unit].words += 1
        }
        if units[unit].words > SearchIndexBuilder.maxUnitWords
            || postings.count > SearchIndexBuilder.maxPartWords
            || wordBytes > SearchIndexBuilder.maxPartBytes
        {
            units[unit].isListed = false
        }
    }

    // MARK: - Ids

    private mutating func addIDs(_ line: UnsafeRawBufferPointer, _ rowIDs: RowIDs) {
        HexRuns.forEach(in: line) { range, kind, key in
            add(id: key)
            if kind == .run {
                let unit = units.count - 1
                units[unit].longestID = max(units[unit].longestID, range.count)
            }
        }
        if rowIDs.traceHigh | rowIDs.traceLow != 0 {
            add(id: HexRuns.key(high: rowIDs.traceHigh, low: rowIDs.traceLow))
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
        if ids.last != key { ids.append(key) }
    }

    private mutating func closeUnit(_ store: inout FrameStore) {
        guard !units.isEmpty else { return }
        let unit = units.count - 1
        let distinct = sortedUnique(ids)
        ids.removeAll(keepingCapacity: true)
        if distinct.isEmpty { return }
        units[unit].idCount = distinct.count
        if let filter = XorFilter.encode(distinct) {
            units[unit].filter = filterFrames.place(filter, in: &store)
        }
        if partIDs.count <= SearchIndexBuilder.maxPartIDs { partIDs += distinct }
    }

    // MARK: - Sections

    /// Closes the last unit and writes the frames that the sections point at.
    mutating func finish(_ store: inout FrameStore) -> (words: [UInt8], ids: [UInt8]) {
        closeUnit(&store)
        if units.count < SearchIndexBuilder.minListedUnits {
            for unit in units.indices { units[unit].isListed = false }
            postings = []
        }
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
        let all =
            partIDs.count <= SearchIndexBuilder.maxPartIDs && units.count > 1
            ? sortedUnique(partIDs) : []
        if !all.isEmpty, let filter = XorFilter.encode(all) {
            partFilter = filterFrames.place(filter, in: &store)
        }
        filterFrames.flush(&store)
        write(all.count, partFilter, &idSection)
        return (wordSection.bytes, idSection.bytes)
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

private func sortedUnique(_ keys: [UInt64]) -> [UInt64] {
    let sorted = keys.sorted()
    return sorted.enumerated().compactMap {
        $0.offset > 0 && sorted[$0.offset - 1] == $0.element ? nil : $0.element
    }
}
