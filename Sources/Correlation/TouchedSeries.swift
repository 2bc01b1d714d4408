// SPDX-License-Identifier: Apache-2.0
// Which series were counted for which service, so that known ones cost one look-up.

import Base

/// Per series the last bucket that counted it and the service it belongs to.
///
/// Open addressing over the hash of the labels, sixteen bytes an entry and no object. Two series
/// with the same 64-bit hash are taken for one: of a million series, once in thirty million times.
struct TouchedSeries: Sendable {
    /// Series whose entry is asked for ahead of its turn.
    static let prefetchAhead = 8

    private struct Entry: BitwiseCopyable {
        /// 0 = free.
        var hash: UInt64 = 0
        /// Number of the bucket: those of the years 1677 to 2262 fit.
        var bucket: Int32 = 0
        /// Index into the services of `HeadIndex`, or `noService`.
        var service: Int32 = 0
    }
    /// Of a series that names no service.
    static let noService: Int32 = -1
    /// Of a series that has to be looked at in every bucket.
    static let everyBucket: Int32 = -2

    private var entries = [Entry](repeating: Entry(), count: 64)
    private var count = 0

    var byteCount: Int { entries.count * MemoryLayout<Entry>.stride }

    enum Touch {
        /// Counted in this bucket before.
        case same
        /// Counted in an earlier bucket, for this service.
        case later(Int32)
        /// Not counted yet, or counted in a later bucket.
        case unknown
    }

    /// Asks for the memory that `touch` of a series is about to look at.
    @inline(__always)
    func prepare(_ hash: UInt64) {
        entries.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            let slot = TouchedSeries.home(of: hash) & (entries.count &- 1)
            let address = base + slot &* MemoryLayout<Entry>.stride
            prefetch(address, address)
        }
    }

    /// Finds a series and moves it on to a bucket.
    @inline(__always)
    mutating func touch(_ hash: UInt64, _ bucket: Int32) -> Touch {
        let key = hash == 0 ? 1 : hash
        let slot = self.slot(of: key)
        guard entries[slot].hash == key else { return .unknown }
        let last = entries[slot].bucket
        if last == bucket { return .same }
        if last > bucket { return .unknown }
        entries[slot].bucket = bucket
        let service = entries[slot].service
        return service == TouchedSeries.everyBucket ? .unknown : .later(service)
    }

    /// Notes what was found out about a series.
    mutating func set(_ hash: UInt64, _ bucket: Int32, service: Int32) {
        let key = hash == 0 ? 1 : hash
        var slot = self.slot(of: key)
        if entries[slot].hash == 0 {
            if (count + 1) * 4 > entries.count * 3 {
                grow()
                slot = self.slot(of: key)
            }
            count += 1
        }
        entries[slot] = Entry(hash: key, bucket: bucket, service: service)
    }

    mutating func removeAll() {
        entries = [Entry](repeating: Entry(), count: 64)
        count = 0
    }

    @inline(__always)
    private func slot(of key: UInt64) -> Int {
        let mask = entries.count &- 1
        var slot = TouchedSeries.home(of: key) & mask
        while entries[slot].hash != 0, entries[slot].hash != key { slot = (slot &+ 1) & mask }
        return slot
    }

    /// Stores shard by the upper bits and tables of theirs take the lower ones.
    @inline(__always)
    private static func home(of key: UInt64) -> Int { Int(truncatingIfNeeded: key ^ key &>> 32) }

    private mutating func grow() {
        let old = entries
        entries = [Entry](repeating: Entry(), count: old.count * 2)
        for entry in old where entry.hash != 0 { entries[slot(of: entry.hash)] = entry }
    }
}
