// SPDX-License-Identifier: Apache-2.0
// Handing recovered records to the stores.

import Base

/// Collects recovered records and applies them in batches: every store works through all records
/// in their order, the stores side by side, because each of them needs only its own sections.
final class LogReplayer {
    private struct Item: Sendable {
        var payload: LogPayload
        var sequence: UInt64
        var file: String
        var offset: Int
        /// Offset of the first byte after the record.
        var end: Int
    }

    /// What one flush applied, and where its last record ends.
    struct Place {
        var file: String
        var offset: Int
        var records: Int
    }

    private let stores: [any SignalStore]
    private let followers: [any LogFollower]
    private let flushed: (Place) -> Void
    private var batch: [Item] = []
    private var batchBytes = 0
    private(set) var faults: [StorageFault] = []

    /// Decompressed bytes per batch: bounds memory.
    private static let batchBytesLimit = 32 << 20
    /// Below this, starting threads costs more than it saves.
    private static let parallelAboveBytes = 1 << 20

    init(
        stores: [any SignalStore], followers: [any LogFollower] = [],
        flushed: @escaping (Place) -> Void = { _ in }
    ) {
        self.stores = stores
        self.followers = followers
        self.flushed = flushed
    }

    /// A record that cannot be decoded is reported, and the others go on.
    func take(_ record: RecoveredRecord) {
        do {
            let payload = try record.segment.withUnsafeBytes {
                try LogPayload(
                    UnsafeRawBufferPointer(rebasing: $0[record.stored]), header: record.header)
            }
            batch.append(
                Item(
                    payload: payload, sequence: record.header.sequence, file: record.file,
                    offset: record.offset, end: record.offset + record.header.totalCount))
            batchBytes += payload.plain.count
        } catch {
            faults.append(
                StorageFault(
                    file: record.file, offset: record.offset,
                    problem: "record \(record.header.sequence) cannot be decoded: \(error)"))
        }
        if batchBytes >= LogReplayer.batchBytesLimit { flush() }
    }

    /// Applies what was collected.
    func flush() {
        guard !batch.isEmpty else { return }
        let items = batch
        let width = batchBytes >= LogReplayer.parallelAboveBytes ? stores.count : 1
        batch = []
        batchBytes = 0
        let stores = stores
        let found = Monitor([StorageFault]())
        do throws(ThreadError) {
            try concurrently(stores.count, width: width) { index in
                let new = LogReplayer.apply(items, to: stores[index])
                if !new.isEmpty { found.withLock { $0 += new } }
            }
        } catch {
            // No threads to be had: replay is idempotent, so start over on this one.
            found.withLock { $0 = [] }
            for store in stores {
                let new = LogReplayer.apply(items, to: store)
                found.withLock { $0 += new }
            }
        }
        for follower in followers { LogReplayer.hand(items, to: follower) }
        faults += found.withLock { $0 }.sorted { ($0.file, $0.offset) < ($1.file, $1.offset) }
        if let last = items.last {
            flushed(Place(file: last.file, offset: last.end, records: items.count))
        }
    }

    private static func apply(_ items: [Item], to store: any SignalStore) -> [StorageFault] {
        let observed = store.observedSignals
        var faults: [StorageFault] = []
        func note(_ item: Item, _ signal: Signal, _ error: any Error) {
            faults.append(
                StorageFault(
                    file: item.file, offset: item.offset,
                    problem: "\(signal.name) of record \(item.sequence) cannot be applied to "
                        + "\(store.signal.name): \(error)"))
        }
        var own: [ReplayedSection] = []
        var ownItems: [Int] = []
        for (position, item) in items.enumerated() {
            for section in item.payload.sections where section.signal == store.signal {
                own.append(
                    ReplayedSection(
                        record: item.payload.plain, range: section.range,
                        tenant: item.payload.tenant, sequence: item.sequence))
                ownItems.append(position)
            }
        }
        for (position, error) in store.replay(own, generation: 0) {
            note(items[ownItems[position]], store.signal, error)
        }
        guard !observed.isEmpty else { return faults }
        for item in items {
            item.payload.plain.withUnsafeBytes { plain in
                for section in item.payload.sections where observed.contains(section.signal) {
                    do {
                        try store.observe(
                            UnsafeRawBufferPointer(rebasing: plain[section.range]),
                            from: section.signal, tenant: item.payload.tenant, generation: 0,
                            sequence: item.sequence)
                    } catch {
                        note(item, section.signal, error)
                    }
                }
            }
        }
        return faults
    }

    private static func hand(_ items: [Item], to follower: any LogFollower) {
        for item in items {
            item.payload.plain.withUnsafeBytes { plain in
                for section in item.payload.sections {
                    follower.replay(
                        UnsafeRawBufferPointer(rebasing: plain[section.range]),
                        signal: section.signal, tenant: item.payload.tenant,
                        sequence: item.sequence)
                }
            }
        }
    }

    /// Reads a segment into memory. Where the disk refuses, zeros take the place, so that the rest
    /// can be served.
    static func read(
        _ path: String, named name: String, _ files: any FileSystem,
        _ faults: inout [StorageFault]
    ) throws(FileError) -> [UInt8] {
        let count = try files.size(path) ?? 0
        do throws(FileError) {
            return try files.read(path, offset: 0, count: count)
        } catch {
            guard error.code == FileError.inputOutput else { throw error }
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        let step = 64 << 10
        while bytes.count < count {
            let wanted = min(step, count - bytes.count)
            do throws(FileError) {
                let piece = try files.read(path, offset: bytes.count, count: wanted)
                bytes += piece
                if piece.count < wanted { break }
            } catch {
                faults.append(
                    StorageFault(file: name, offset: bytes.count, problem: error.description))
                bytes += repeatElement(0, count: wanted)
            }
        }
        return bytes
    }
}
