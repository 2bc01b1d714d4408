// SPDX-License-Identifier: Apache-2.0
// From heads to parts.

import Base
import Synchronization

extension Kernel {
    /// Rotates the generation, makes its parts durable and removes the log behind them. Returns
    /// when that is done; a second call waits for the first.
    ///
    /// - Throws: what stood in the way (a full disk, in the first place). Nothing is lost then: the
    ///   head stays, and the next call takes up the same rotation.
    package func sealNow() async throws {
        try await sealer.run { try self.seal() }
    }

    /// Seals until everything that was acknowledged before the call is in parts.
    package func sealAll() async throws {
        try await sealer.run { [self] in
            let end = log.state.withLock { $0.nextSequence }
            // A rotation that failed before is taken up first, and does not hold the newest commits.
            while manifest.current.covered < end { try seal() }
        }
    }

    /// One seal. Runs on the sealer's only thread.
    func seal() throws {
        do {
            guard let rotation = rotation() else { return }
            log.waitUntilApplied(rotation.generation)
            try seal(rotation)
            log.forget(rotation.generation)
            state.withLock { $0.counters.seals += 1 }
            Allocator.releaseFreePages()
            try log.removeSegments(below: rotation.boundary)
        } catch {
            note("sealing", error) { $0.failedSeals += 1 }
            throw error
        }
    }

    /// The rotation to work on: one that failed before, a new one, or none when all is in parts.
    private func rotation() -> WriteAheadLog.Rotation? {
        if let pending = state.withLock({ $0.pending }) { return pending }
        let next = log.state.withLock { $0.nextSequence }
        guard next > manifest.current.covered else { return nil }
        // Before rotating: a commit that slips in between makes the next seal early, not late.
        state.withLock { $0.oldestCommitNanos = nil }
        let rotation = log.rotate()
        state.withLock { $0.pending = rotation }
        return rotation
    }

    private func seal(_ rotation: WriteAheadLog.Rotation) throws {
        var drafts: [(signal: Signal, draft: PartDraft)] = []
        for store in stores {
            drafts += try store.seal(generation: rotation.generation).map { (store.signal, $0) }
        }
        // Once the manifest covers these records nobody finds them in the log again.
        for follower in followers { try follower.makeDurable(below: rotation.boundary) }
        let first = manifest.reserveIDs(drafts.count)
        var parts: [PartDescriptor] = []
        for (index, item) in drafts.enumerated() {
            parts.append(
                Kernel.descriptor(
                    of: item.draft, id: first + UInt64(index), signal: item.signal, level: 0,
                    lastSequence: rotation.boundary - 1, wallNanos: clock.wallNanos))
        }
        var counters = KernelCounters()
        for item in drafts { counters.countDropped(item.signal, [item.draft]) }
        let blobs = zip(parts, drafts).map { (PartName.blob($0.id), $1.draft.bytes) }
        drafts = []
        let handles = try install(
            parts, blobs, PartEdit(added: parts, covered: rotation.boundary))
        for store in stores {
            store.sealed(
                generation: rotation.generation,
                parts: handles.filter { $0.descriptor.signal == store.signal })
        }
        state.withLock { state in
            for handle in handles { state.handles[handle.descriptor.id] = handle }
            state.pending = nil
            state.counters.partsSealed += handles.count
            state.counters.duplicatesDropped.merge(counters.duplicatesDropped, uniquingKeysWith: +)
            state.counters.conflictsDropped.merge(counters.conflictsDropped, uniquingKeysWith: +)
        }
        _ = refreshHeadBytes()
    }

    static func descriptor(
        of draft: PartDraft, id: UInt64, signal: Signal, level: UInt8, lastSequence: UInt64,
        wallNanos: Int64
    ) -> PartDescriptor {
        PartDescriptor(
            id: id, signal: signal, tenant: draft.tenant,
            day: draft.isTimeless ? utcDay(ofNanos: wallNanos) : draft.day, level: level,
            minNanos: draft.isTimeless ? wallNanos : draft.minNanos,
            maxNanos: draft.isTimeless ? wallNanos : draft.maxNanos, rowCount: draft.rowCount,
            byteCount: UInt64(draft.bytes.count), retentionClass: draft.retentionClass,
            lastSequence: lastSequence)
    }

    // MARK: - The manifest

    /// Stores blobs, opens them, and only then makes the edit: whatever the manifest names can be
    /// read.
    func install(
        _ parts: [PartDescriptor], _ data: [(name: String, bytes: [UInt8])], _ edit: PartEdit
    ) throws -> [PartHandle] {
        let names = data.map(\.name)
        let handles: [PartHandle]
        do {
            try blobs.put(data)
            handles = try parts.map { try Kernel.openPart($0, blobs) }
        } catch {
            discard(names)
            throw error
        }
        do throws(MetaStoreError) {
            try change(edit)
        } catch {
            if case .unavailable = error {
                state.withLock { $0.doubtfulBlobs += names }
            } else {
                discard(names)
            }
            throw error
        }
        return handles
    }

    /// Makes an edit, whatever else is being edited at the same time.
    func change(_ edit: PartEdit) throws(MetaStoreError) {
        while true {
            do throws(MetaStoreError) {
                _ = try manifest.commit(edit, ifEpoch: manifest.current.epoch)
                break
            } catch {
                guard case .conflict = error else { throw error }
            }
        }
        let doubtful = state.withLock { state in
            defer { state.doubtfulBlobs = [] }
            return state.doubtfulBlobs
        }
        discard(doubtful)
    }

    /// Deletes blobs that no manifest names. What cannot be deleted is tried again after the next
    /// change, and at opening.
    func discard(_ names: [String]) {
        do throws(FileError) {
            try blobs.delete(names)
        } catch {
            state.withLock { $0.doubtfulBlobs += names }
            note("deleting blobs", error) { _ in }
        }
    }

    func note(
        _ doing: String, _ error: any Error, _ count: (inout KernelCounters) -> Void
    ) {
        state.withLock { state in
            state.counters.lastFailure = "\(doing): \(error)"
            count(&state.counters)
        }
    }
}
