// SPDX-License-Identifier: Apache-2.0
// Between which numbers the columns of structured metadata lie.

import Base
import Storage
import Telemetry

/// Bounds of the numbers of a block under a key of its structured metadata.
struct NumberRange: Sendable, Equatable {
    var name: [UInt8]
    var bounds: NumberBounds
}

/// The ranges of a part's blocks, for those columns all of whose values are numbers; not of all such
/// columns. See `LogFormat`.
struct NumberRanges: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        var block: UInt32
        /// Its number in `names`.
        var name: UInt32
        var bounds: NumberBounds
    }
    /// Distinct, ascending bytewise.
    private(set) var names: [[UInt8]] = []
    /// Ascending by block, then name.
    private(set) var entries: [Entry] = []

    init() {}

    /// - Throws: when the bytes are no section of ranges of so many blocks.
    init(_ bytes: [UInt8], blockCount: Int) throws(MalformedBytes) {
        (names, entries) = try parse(bytes) { reader throws(MalformedBytes) in
            var names: [[UInt8]] = []
            for _ in 0..<(try reader.length(limit: reader.remaining, "number of names")) {
                let name = [UInt8](try reader.lengthPrefixed())
                guard names.last.map({ $0.lexicographicallyPrecedes(name) }) ?? true else {
                    throw reader.malformed("ascending names")
                }
                names.append(name)
            }
            var entries: [Entry] = []
            while !reader.isAtEnd {
                let before = entries.last
                let distance = try reader.length(limit: blockCount, "block")
                let block = Int(before?.block ?? 0) + distance
                let name = try reader.length(limit: names.count, "name")
                guard block < blockCount, name < names.count,
                    before == nil || distance > 0 || Int(before?.name ?? 0) < name
                else { throw reader.malformed("ranges ascending by block and name") }
                let least = try reader.zigzag()
                let (greatest, overflow) = least.addingReportingOverflow(
                    Int64(bitPattern: try reader.varint()))
                guard !overflow, greatest >= least else { throw reader.malformed("a range") }
                entries.append(
                    Entry(
                        block: UInt32(block), name: UInt32(name),
                        bounds: NumberBounds(least: least, greatest: greatest)))
            }
            return (names, entries)
        }
    }

    // MARK: - Looking up

    /// Number of a name; nil when no block has a range of it.
    func number(of name: String) -> UInt32? {
        let wanted = Array(name.utf8)
        var low = 0, high = names.count
        while low < high {
            let middle = (low + high) / 2
            if names[middle].lexicographicallyPrecedes(wanted) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low < names.count && names[low] == wanted ? UInt32(low) : nil
    }

    /// First entry of a block at or behind a name.
    private func place(_ block: Int, _ name: UInt32) -> Int {
        var low = 0, high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if (Int(entries[middle].block), entries[middle].name) < (block, name) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// - Complexity: O(log n).
    func bounds(_ name: UInt32, ofBlock block: Int) -> NumberBounds? {
        let place = place(block, name)
        guard place < entries.count, Int(entries[place].block) == block,
            entries[place].name == name
        else { return nil }
        return entries[place].bounds
    }

    func ranges(ofBlock block: Int) -> [NumberRange] {
        entries[place(block, 0)..<place(block + 1, 0)].map {
            NumberRange(name: names[Int($0.name)], bounds: $0.bounds)
        }
    }
}

/// Collects ranges of a part that is being built.
struct NumberRangesBuilder {
    private var numbers: [[UInt8]: UInt32] = [:]
    private var entries: [NumberRanges.Entry] = []

    var isEmpty: Bool { entries.isEmpty }

    /// Adds ranges of a block, of those in order as many as fit.
    ///
    /// - Parameters:
    ///   - block: no lower than of the calls before, each block once.
    ///   - byteLimit: of them in the section, before compression and without their names.
    mutating func add(_ ranges: [NumberRange], ofBlock block: Int, byteLimit: Int = .max) {
        var bytes = 0
        for range in ranges {
            let number = numbers[range.name] ?? UInt32(numbers.count)
            let span = UInt64(bitPattern: range.bounds.greatest &- range.bounds.least)
            bytes +=
                1 + ByteWriter.varintCount(UInt64(number))
                + ByteWriter.varintCount(ByteWriter.zigzag(range.bounds.least))
                + ByteWriter.varintCount(span)
            guard bytes <= byteLimit else { return }
            numbers[range.name] = number
            entries.append(
                NumberRanges.Entry(block: UInt32(block), name: number, bounds: range.bounds))
        }
    }

    /// The section.
    func encoded() -> [UInt8] {
        let names = numbers.sorted { $0.key.lexicographicallyPrecedes($1.key) }
        var places = [UInt32](repeating: 0, count: names.count)
        var out = ByteWriter()
        out.varint(names.count)
        for (place, name) in names.enumerated() {
            places[Int(name.value)] = UInt32(place)
            out.lengthPrefixed(name.key)
        }
        let sorted = entries.map { entry in
            var entry = entry
            entry.name = places[Int(entry.name)]
            return entry
        }.sorted { ($0.block, $0.name) < ($1.block, $1.name) }
        var block: UInt32 = 0
        for entry in sorted {
            out.varint(UInt64(entry.block - block))
            block = entry.block
            out.varint(UInt64(entry.name))
            out.zigzag(entry.bounds.least)
            out.varint(UInt64(bitPattern: entry.bounds.greatest &- entry.bounds.least))
        }
        return out.bytes
    }
}

extension LogPart {
    /// Compares the ranges of a block with its columns.
    ///
    /// - Throws: `PartCorruption` when they differ.
    func checkRanges(ofBlock number: Int, _ cache: FrameCache?) throws {
        let block = blocks[number]
        for range in ranges.ranges(ofBlock: number) {
            let name = String(decoding: range.name, as: UTF8.self)
            var found: NumberBounds?
            var areNumbers = block.metadata.count > 0
            if areNumbers {
                try column(block.metadata, number, cache) { bytes, owner in
                    let columns = try MetadataColumns(bytes, owner: owner, rows: Int(block.rows))
                    _ = try columns.hits(
                        name, rows: Int(block.rows), matchesEmpty: true,
                        { text in
                            guard !text.isEmpty else { return true }
                            let bounds = NumberBounds(text)
                            if bounds == nil { areNumbers = false }
                            if let bounds { found?.formUnion(bounds) }
                            found = found ?? bounds
                            return true
                        }, ids: { try ids(number, cache) })
                }
            }
            guard areNumbers, found == range.bounds else {
                let section = reader.section(LogFormat.Section.ranges)
                throw PartCorruption(
                    name: reader.name, offset: section?.offset ?? 0,
                    problem: "range of \(name) in block \(number) is not that of its values")
            }
        }
    }
}
