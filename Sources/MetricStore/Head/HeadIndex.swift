// SPDX-License-Identifier: Apache-2.0
// The label index of one head shard.

import Base
import Storage
import Telemetry

/// Postings of one shard, grown as series arrive. Series numbers grow, so appending keeps each
/// list sorted.
struct HeadIndex: Sendable {
    /// Label names and values by text.
    private var symbols = InternTable()
    /// Number of the name, by its symbol.
    private var nameOfSymbol: [Int: Int] = [:]
    /// Symbols of names, by number of the name.
    private(set) var nameSymbols: [Int] = []
    /// Per name, the lists of its values in order of arrival.
    private var lists: [[Int]] = []
    /// Symbol of each list's value.
    private var valueSymbols: [Int] = []
    /// Position within its name's lists, by name and value symbol.
    private var positions: [UInt64: UInt32] = [:]
    private var postings: [Postings] = []

    /// Bytes of memory held, about.
    var byteCount: Int { symbols.byteCount + valueSymbols.count * 96 }

    /// Enters a new series under all its labels. Returns the bytes by which memory grew.
    mutating func add(_ series: UInt32, labels: UnsafeRawBufferPointer) -> Int {
        let before = byteCount
        var entries = 0
        forEachLabel(in: labels) { name, value in
            let nameSymbol = symbols.intern(name)
            let valueSymbol = symbols.intern(value)
            let nameIndex: Int
            if let known = nameOfSymbol[nameSymbol] {
                nameIndex = known
            } else {
                nameIndex = nameSymbols.count
                nameOfSymbol[nameSymbol] = nameIndex
                nameSymbols.append(nameSymbol)
                lists.append([])
            }
            let key = HeadIndex.key(nameIndex, valueSymbol)
            if let position = positions[key] {
                postings[lists[nameIndex][Int(position)]].append(series)
            } else {
                positions[key] = UInt32(truncatingIfNeeded: lists[nameIndex].count)
                lists[nameIndex].append(postings.count)
                postings.append(Postings(ascending: [series]))
                valueSymbols.append(valueSymbol)
            }
            entries += 1
        }
        return byteCount - before + entries * 4
    }

    private static func key(_ name: Int, _ valueSymbol: Int) -> UInt64 {
        UInt64(truncatingIfNeeded: name) &<< 32 | UInt64(truncatingIfNeeded: valueSymbol)
    }

    var nameCount: Int { nameSymbols.count }

    func withName<R>(_ name: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try symbols.withBytes(nameSymbols[name], body)
    }

    func findName(_ name: UnsafeRawBufferPointer) -> Int? {
        symbols.find(name).flatMap { nameOfSymbol[$0] }
    }
    func valueCount(_ name: Int) -> Int { lists[name].count }
    func findValue(_ name: Int, _ value: UnsafeRawBufferPointer) -> Int? {
        symbols.find(value).flatMap { positions[HeadIndex.key(name, $0)] }.map { Int($0) }
    }
    func withValue<R>(
        _ name: Int, _ value: Int, _ body: (UnsafeRawBufferPointer) throws -> R
    ) rethrows -> R {
        try symbols.withBytes(valueSymbols[lists[name][value]], body)
    }
    func postings(_ name: Int, _ value: Int) -> Postings { postings[lists[name][value]] }
}
