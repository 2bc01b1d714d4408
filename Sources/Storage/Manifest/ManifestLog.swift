// SPDX-License-Identifier: Apache-2.0
// The embedded metadata store: one append-only file.

import Base
import Synchronization

/// The set of parts in a log of edits, begun afresh with a checkpoint when it has grown.
///
/// A failed append or sync makes the file untrusted: nobody knows whether the edit is in it. The
/// next change goes into a new file that begins with a checkpoint, and once that file is durable
/// the old one means nothing any more.
package final class ManifestLog: MetaStore {
    private struct State {
        var set: PartSet
        var nextPartID: UInt64
        var watchers: [UInt64: AsyncStream<PartSet>.Continuation] = [:]
        var nextWatcher: UInt64 = 0
    }

    /// The file being appended to; taken out while a commit writes, so that no lock is held.
    private struct Writer {
        var file: (any WritableFile)?
        var number: UInt64
        var offset: Int
        var checkpointCount: Int
    }

    private let directory: String
    private let files: any FileSystem
    private let rewriteAboveCount: Int
    private let state: Mutex<State>
    /// Serialises commits. Only threads of the kernel wait here, never the cooperative pool.
    private let writer: Monitor<Writer>
    /// Damage found when the manifest was opened.
    package let faults: [StorageFault]
    /// An edit at the end that never was acknowledged, and was dropped when opening.
    package let tornTail: StorageFault?
    /// Edits in the middle were unreadable: blobs that the set does not name may be real.
    package let isDamagedInside: Bool

    /// Opens the newest manifest in the directory, or begins the first.
    ///
    /// - Parameters:
    ///   - beforeRewrite: called when the old manifest is read and before it is superseded: the last
    ///     moment at which its damage can be seen.
    ///   - keepDamaged: given path and name of each file that is superseded and damaged, instead of
    ///     removing it.
    /// - Throws: `FileError`, or `KernelError.manifestUnreadable` when there are manifest files but
    ///   none with a whole checkpoint.
    package init(
        directory: String, files: any FileSystem,
        rewriteAboveCount: Int = ManifestFormat.rewriteAboveCount,
        beforeRewrite: (ManifestLog) throws -> Void = { _ in },
        keepDamaged: ((_ path: String, _ name: String) throws -> Void)? = nil
    ) throws {
        self.rewriteAboveCount = rewriteAboveCount
        self.directory = directory
        self.files = files
        let numbers = try files.list(directory).compactMap(ManifestFormat.number).sorted()
        var faults: [StorageFault] = []
        var found: ManifestReader?
        for number in numbers.reversed() {
            let name = "manifest/" + ManifestFormat.name(number)
            let bytes = try files.readAll(directory + "/" + ManifestFormat.name(number))
            let reader = ManifestReader(bytes, file: name)
            if let version = reader.foreignVersion {
                throw KernelError.newerVersion(
                    path: name, found: Int(version), readable: Int(ManifestFormat.version))
            }
            guard reader.isUsable else {
                faults += reader.faults
                continue
            }
            found = reader
            break
        }
        if found == nil && !numbers.isEmpty {
            throw KernelError.manifestUnreadable(faults)
        }
        let reader = found
        isDamagedInside = reader?.isDamagedInside ?? false
        tornTail = isDamagedInside ? nil : reader?.faults.first
        if isDamagedInside { faults += reader?.faults ?? [] }
        self.faults = faults
        state = Mutex(State(set: reader?.set ?? PartSet(), nextPartID: reader?.nextPartID ?? 1))
        writer = Monitor(
            Writer(file: nil, number: numbers.last ?? 0, offset: 0, checkpointCount: 0))
        try beforeRewrite(self)
        // Always afresh: what can be read of the old file is not for that reason durable. Its
        // process may have been killed after a failed sync, and then no later sync helps.
        try writer.withLock { writer throws(FileError) in
            try checkpoint(&writer, current, nextID)
        }
        for number in numbers where number != writer.withLock({ $0.number }) {
            let name = ManifestFormat.name(number)
            if let keepDamaged, faults.contains(where: { $0.file == "manifest/" + name }) {
                try keepDamaged(directory + "/" + name, name)
            } else {
                try files.remove(directory + "/" + name)
            }
        }
        for name in try files.list(directory) where name.hasSuffix(".tmp") {
            try files.remove(directory + "/" + name)
        }
    }

    package var current: PartSet { state.withLock { $0.set } }
    private var nextID: UInt64 { state.withLock { $0.nextPartID } }

    package func reserveIDs(_ count: Int) -> UInt64 {
        state.withLock { state in
            defer { state.nextPartID += UInt64(count) }
            return state.nextPartID
        }
    }

    /// Never gives ids up to `id` again; for blobs left over by an interrupted change.
    package func skipIDs(through id: UInt64) {
        state.withLock { $0.nextPartID = max($0.nextPartID, id &+ 1) }
    }

    package func commit(
        _ edit: PartEdit, ifEpoch epoch: UInt64
    ) throws(MetaStoreError) -> UInt64 {
        try writer.withLock { writer throws(MetaStoreError) in
            let (old, nextID) = state.withLock { ($0.set, $0.nextPartID) }
            guard old.epoch == epoch else { throw .conflict(epoch: old.epoch) }
            var set = old
            for id in edit.removed {
                guard set.parts.removeValue(forKey: id) != nil else { throw .noSuchPart(id) }
            }
            for part in edit.added { set.parts[part.id] = part }
            set.epoch += 1
            set.covered = edit.covered ?? set.covered
            do throws(FileError) {
                try write(&writer, edit, set, nextID)
            } catch {
                throw .unavailable(error.description)
            }
            publish(set)
            return set.epoch
        }
    }

    private func publish(_ set: PartSet) {
        let watchers = state.withLock { state in
            state.set = set
            return Array(state.watchers.values)
        }
        for watcher in watchers { watcher.yield(set) }
    }

    private func write(
        _ writer: inout Writer, _ edit: PartEdit, _ set: PartSet, _ nextID: UInt64
    ) throws(FileError) {
        let record = ManifestRecord(
            isCheckpoint: false, epoch: set.epoch, covered: set.covered, nextPartID: nextID,
            removed: edit.removed, added: edit.added
        ).encoded()
        let limit = max(rewriteAboveCount, writer.checkpointCount * 4)
        guard let file = writer.file, writer.offset + record.count <= limit else {
            let old = writer.number
            let hadFile = writer.file != nil
            try checkpoint(&writer, set, nextID)
            if hadFile || old > 0 { removeOld(old) }
            return
        }
        do throws(FileError) {
            try file.write([record], at: writer.offset)
            try file.sync()
            writer.offset += record.count
        } catch {
            file.close()
            writer.file = nil
            throw error
        }
    }

    /// Begins a new file with the whole set.
    private func checkpoint(
        _ writer: inout Writer, _ set: PartSet, _ nextID: UInt64
    ) throws(FileError) {
        let record = ManifestRecord(
            isCheckpoint: true, epoch: set.epoch, covered: set.covered, nextPartID: nextID,
            removed: [], added: set.sorted
        ).encoded()
        let number = writer.number + 1
        let path = directory + "/" + ManifestFormat.name(number)
        // The number is used up even when this fails: a rename whose sync failed may yet turn out
        // to be durable.
        writer.file?.close()
        writer.file = nil
        writer.number = number
        try files.replace(path, in: directory, with: ManifestFormat.header + record)
        writer.file = try files.open(path)
        writer.offset = ManifestFormat.headerCount + record.count
        writer.checkpointCount = record.count
    }

    /// Old files are ignored next to a newer one, so failing to remove one costs only space, and
    /// opening tries again.
    private func removeOld(_ number: UInt64) {
        do throws(FileError) {
            try files.remove(directory + "/" + ManifestFormat.name(number))
        } catch {
            return
        }
    }

    package func watch() -> AsyncStream<PartSet> {
        AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let id = state.withLock { state in
                defer { state.nextWatcher += 1 }
                state.watchers[state.nextWatcher] = continuation
                return state.nextWatcher
            }
            continuation.onTermination = { [weak self] _ in
                self?.state.withLock { $0.watchers[id] = nil }
            }
        }
    }

    package func close() {
        writer.withLock { writer in
            writer.file?.close()
            writer.file = nil
        }
        let watchers = state.withLock { state in
            defer { state.watchers = [:] }
            return Array(state.watchers.values)
        }
        for watcher in watchers { watcher.finish() }
    }
}
