// SPDX-License-Identifier: Apache-2.0
// What a part knows of its lines without opening them.

import Base
import Storage

/// The words and ids sections of an opened part; see `LogFormat`. Words themselves and filters are
/// frames, read when a search needs them.
struct SearchIndex: Sendable {
    struct Unit: Sendable {
        /// Frame of lines.
        var frame: UInt32
        /// Whether all its words are in the dictionary.
        var isListed: Bool
        var letters: LetterSurvey
        var ids = Filter()
        /// Digits of the longest run that may be an id.
        var longestID = 0
    }
    struct Filter: Sendable {
        var count = 0
        var place = ColumnLocation.none
    }

    private(set) var units: [Unit] = []
    private(set) var words = Filter()
    private(set) var allIDs = Filter()
    private(set) var longestID = 0

    init(
        words: [UInt8], ids: [UInt8], frames: [LogFrame]
    ) throws(MalformedBytes) {
        var parsed: [Unit] = []
        self.words = try parse(words) { reader throws(MalformedBytes) in
            let count = try reader.length(limit: frames.count, "frames of lines")
            var next = 0
            for _ in 0..<count {
                let frame = try reader.length(limit: frames.count, "frame") + next
                guard frame < frames.count else { throw reader.malformed("frame of lines") }
                next = frame + 1
                let run = try reader.length(
                    limit: LogFormat.maxFrameCount * 2 + 1, "longest run of letters")
                parsed.append(
                    Unit(
                        frame: UInt32(frame), isListed: run & 1 == 1,
                        letters: LetterSurvey(
                            letters: try reader.varint(), longestRun: run >> 1)))
            }
            return try SearchIndex.filter(&reader, frames)
        }
        allIDs = try parse(ids) { reader throws(MalformedBytes) in
            let count = try reader.length(limit: frames.count, "frames of lines")
            guard count == parsed.count else { throw reader.malformed("all frames of lines") }
            for unit in 0..<count {
                parsed[unit].longestID = try reader.length(
                    limit: LogFormat.maxFrameCount, "longest id")
                parsed[unit].ids = try SearchIndex.filter(&reader, frames)
            }
            return try SearchIndex.filter(&reader, frames)
        }
        units = parsed
        longestID = parsed.reduce(0) { max($0, $1.longestID) }
    }

    private static func filter(
        _ reader: inout ByteReader, _ frames: [LogFrame]
    ) throws(MalformedBytes) -> Filter {
        let count = try reader.length(limit: LogFormat.maxFrameCount, "entries")
        if count == 0 { return Filter() }
        let frame = try reader.length(limit: frames.count, "frame")
        let offset = try reader.length(limit: LogFormat.maxFrameCount, "column offset")
        let size = try reader.length(limit: LogFormat.maxFrameCount, "column size")
        if size == 0 { return Filter(count: count, place: .none) }
        guard frame < frames.count, offset + size <= frames[frame].plainCount else {
            throw reader.malformed("column inside its frame")
        }
        return Filter(
            count: count,
            place: ColumnLocation(
                frame: UInt32(frame), offset: UInt32(offset), count: UInt32(size)))
    }

    /// The unit of a frame of lines.
    func unit(ofFrame frame: UInt32) -> Int? {
        var low = 0, high = units.count
        while low < high {
            let middle = (low + high) / 2
            if units[middle].frame < frame { low = middle + 1 } else { high = middle }
        }
        return low < units.count && units[low].frame == frame ? low : nil
    }
}

/// The dictionary of a part's words.
struct WordDictionary {
    /// The words back to back, and where each ends.
    private var text: [UInt8] = []
    private var ends: [Int] = []
    private var postings: ByteReader
    private let units: Int

    /// - Parameter bytes: alive as long as the dictionary is used.
    init(
        _ bytes: UnsafeRawBufferPointer, words count: Int, units: Int
    ) throws(MalformedBytes) {
        self.units = units
        var reader = ByteReader(bytes)
        guard count <= reader.remaining else { throw reader.malformed("\(count) words") }
        ends.reserveCapacity(count)
        var previous = 0
        for _ in 0..<count {
            let shared = Int(try reader.u8())
            let rest = try reader.bytes(Int(try reader.u8()))
            guard shared <= text.count - previous else { throw reader.malformed("shared letters") }
            let start = text.count
            text.append(contentsOf: text[previous..<(previous + shared)])
            text.append(contentsOf: rest)
            previous = start
            ends.append(text.count)
        }
        postings = reader
    }

    /// Marks the units that have a word for each of the wanted.
    ///
    /// - Returns: per unit, whether every needle's word was met in it.
    func units(having wanted: [NeedleWord]) throws(MalformedBytes) -> [[Bool]] {
        var found = [[Bool]](
            repeating: [Bool](repeating: false, count: units), count: wanted.count)
        var reader = postings
        var start = 0
        var matching: [Int] = []
        for end in ends {
            matching.removeAll(keepingCapacity: true)
            text.withUnsafeBytes { text in
                let word = UnsafeRawBufferPointer(rebasing: text[start..<end])
                for index in wanted.indices where wanted[index].matches(word) {
                    matching.append(index)
                }
            }
            start = end
            try read(&reader) { unit in for index in matching { found[index][unit] = true } }
        }
        return found
    }

    /// Calls `body` with each word and each of its units, ascending.
    func forEach(_ body: (UnsafeRawBufferPointer, Int) -> Void) throws(MalformedBytes) {
        var reader = postings
        var start = 0
        for end in ends {
            let range = start..<end
            try read(&reader) { unit in
                text.withUnsafeBytes {
                    body(UnsafeRawBufferPointer(rebasing: $0[range]), unit)
                }
            }
            start = end
        }
    }

    /// Reads one word's list of units.
    private func read(
        _ reader: inout ByteReader, _ body: (Int) -> Void
    ) throws(MalformedBytes) {
        let count = try reader.length(limit: units, "units of a word")
        if count == units {
            for unit in 0..<units { body(unit) }
            return
        }
        if count * 8 > units {
            let bits = try reader.bytes((units + 7) / 8)
            for unit in 0..<units where isSet(unit, in: bits) { body(unit) }
            return
        }
        var next = 0
        for _ in 0..<count {
            let unit = try reader.length(limit: units, "unit of a word") + next
            guard unit < units else { throw reader.malformed("unit of a word") }
            body(unit)
            next = unit + 1
        }
    }

    /// Reads all lists.
    func check() throws(MalformedBytes) {
        var reader = postings
        for _ in ends { try read(&reader) { _ in } }
        guard reader.isAtEnd else { throw reader.malformed("end of the words") }
    }
}
