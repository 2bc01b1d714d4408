// SPDX-License-Identifier: Apache-2.0
// Some attributes of a list.

import Base
import Telemetry
import Wire

/// Finds the values of certain keys in one pass over a list of attributes.
struct AttributeFinder: Sendable {
    /// An encoded value; nil = not there.
    typealias Found = [UnsafeRawBufferPointer?]

    let keys: [String]
    /// Numbers of the keys by their length, up to 63 bytes; longer ones are in the last list.
    private let byLength: [[Int]]
    private let bytes: [[UInt8]]

    init(_ keys: [String]) {
        var distinct: [String] = []
        for key in keys where !distinct.contains(key) { distinct.append(key) }
        self.keys = distinct
        bytes = distinct.map { Array($0.utf8) }
        var lists = [[Int]](repeating: [], count: 64)
        for (index, key) in bytes.enumerated() { lists[min(key.count, 63)].append(index) }
        byLength = lists
    }

    var isEmpty: Bool { keys.isEmpty }

    func number(of key: String) -> Int? { keys.firstIndex(of: key) }

    /// The first value of each key. O(attributes).
    func find(in list: UnsafeRawBufferPointer, into found: inout Found) {
        found.removeAll(keepingCapacity: true)
        found.append(contentsOf: repeatElement(nil, count: keys.count))
        if keys.isEmpty { return }
        var reader = ByteReader(list)
        // The list was written by our decoders: reading it cannot fail.
        while !reader.isAtEnd, let key = try? reader.lengthPrefixed() {
            let start = reader.offset
            guard (try? AttributeCoding.skipValue(&reader)) != nil else { return }
            for index in byLength[min(key.count, 63)]
            where found[index] == nil && key.elementsEqual(bytes[index]) {
                found[index] = UnsafeRawBufferPointer(rebasing: list[start..<reader.offset])
            }
        }
    }

    /// A value as text: see `OTLPAttributes.appendText`.
    static func append(_ value: UnsafeRawBufferPointer, to out: inout [UInt8]) {
        var reader = ByteReader(value)
        try? OTLPAttributes.appendText(&reader, to: &out)
    }

    static func text(_ value: UnsafeRawBufferPointer) -> String {
        var bytes: [UInt8] = []
        append(value, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
