// SPDX-License-Identifier: Apache-2.0
// Keys that come twice in one list of attributes.

import Base
import Telemetry

/// OTLP says that keys of a list are unique and leaves open what happens when they are not. Here the
/// first value counts. Source: opentelemetry-proto `common/v1/common.proto`, `KeyValueList`.
enum AttributeKeys {
    /// Up to so many keys are compared with each other; beyond that a set finds repeated ones.
    private static let fewKeys = 32

    /// Removes attributes whose key came before in the list, and says how many. Nested lists stay as
    /// they are. O(bytes) and no allocation for lists of up to 32 attributes without repeats.
    static func removeRepeated(from list: inout [UInt8]) -> UInt32 {
        let repeated = list.withUnsafeBytes { bytes in repeatedRanges(bytes) }
        for range in repeated.reversed() { list.removeSubrange(range) }
        return UInt32(clamping: repeated.count)
    }

    private static func repeatedRanges(_ bytes: UnsafeRawBufferPointer) -> [Range<Int>] {
        withUnsafeTemporaryAllocation(of: UnsafeRawBufferPointer.self, capacity: fewKeys) { keys in
            var count = 0
            var more: Set<[UInt8]> = []
            var repeated: [Range<Int>] = []
            var reader = ByteReader(bytes)
            while !reader.isAtEnd {
                let start = reader.offset
                // The list was written by us: reading it cannot fail.
                guard let key = try? reader.lengthPrefixed(),
                    (try? AttributeCoding.skipValue(&reader)) != nil
                else { return repeated }
                var isNew = !keys[..<count].contains { equalBytes($0, key) }
                if isNew {
                    if count < fewKeys {
                        keys.initializeElement(at: count, to: key)
                        count += 1
                    } else {
                        isNew = more.insert([UInt8](key)).inserted
                    }
                }
                if !isNew { repeated.append(start..<reader.offset) }
            }
            return repeated
        }
    }
}
