// SPDX-License-Identifier: Apache-2.0
// From a directory, after a stop of any kind, to a running kernel.

import Base

extension Kernel {
    /// Opens a data directory: locks it, reads the manifest, opens the parts, removes what
    /// interrupted changes left, and replays the log into generation 0. Blocks, in proportion to
    /// the log.
    ///
    /// Damage is not an error here: it is in `status.faults`, and everything else is served.
    ///
    /// - Parameters:
    ///   - locked: the directory when its lock was taken before; then it is unlocked by `stop` or
    ///     by what is thrown here.
    ///   - progress: called on the calling thread, in order: once before the first record (nothing
    ///     done yet, the total known), then after every few megabytes and every segment, and at
    ///     last with everything done. It must be quick and must not block.
    /// - Throws: `KernelError` or `FileError` when the directory cannot be used at all.
    package static func open(
        _ configuration: KernelConfiguration, files: any FileSystem = LocalFileSystem(),
        clock: any Clock = SystemClock(), random: any RandomSource = SystemRandom(),
        stores: [any SignalStore], followers: [any LogFollower] = [],
        directory locked: DataDirectory? = nil,
        progress: @escaping (ReplayProgress) -> Void = { _ in }
    ) throws -> Kernel {
        let directory = try locked ?? DataDirectory(configuration.path, files: files)
        do {
            let blobs = DirectoryBlobStore(directory: directory.parts, files: files)
            let quarantine = Quarantine(directory: directory, files: files)
            let manifest = try ManifestLog(
                directory: directory.manifest, files: files,
                rewriteAboveCount: configuration.manifestBytes,
                beforeRewrite: { try setAside($0, directory, blobs, quarantine) },
                keepDamaged: { try quarantine.take($0, name: $1) })
            var state = State()
            state.faults = manifest.faults
            state.replay.tornManifest = manifest.tornTail
            state.faults += try quarantine.contents().faults
            try removeOrphans(manifest, blobs, &state)
            let retention = try OpenedRetention(
                configuration, borne: Set(manifest.current.parts.values.map(\.retentionClass)),
                directory, files)
            if let fault = retention.fault { state.faults.append(fault) }
            for store in stores { store.useRetentionClasses(retention.numbers) }
            openParts(manifest, blobs, stores, &state)
            let log = try replay(
                configuration, directory, manifest, stores, followers, files, clock, random, &state,
                progress)
            if log.options.nextSequence > manifest.current.covered {
                state.oldestCommitNanos = clock.monotonicNanos
            }
            let kernel = Kernel(
                configuration, directory, log: log, manifest: manifest, blobs: blobs,
                retention: retention, files: files, clock: clock, stores: stores,
                followers: followers, state: state)
            _ = kernel.refreshHeadBytes()
            return kernel
        } catch {
            directory.lock.unlock()
            throw error
        }
    }

    /// Where the manifest is damaged, what it does not name may be real. Runs before the damage is
    /// written over: after a kill in between, the next start finds it again.
    private static func setAside(
        _ manifest: ManifestLog, _ directory: DataDirectory, _ blobs: any BlobStore,
        _ quarantine: Quarantine
    ) throws {
        let isDamaged = !manifest.faults.isEmpty
        guard isDamaged || manifest.tornTail != nil else { return }
        let set = manifest.current
        for blob in try blobs.list() {
            guard let id = PartName.id(blob.name), set.parts[id] == nil else { continue }
            manifest.skipIDs(through: id)
            try quarantine.take(
                directory.parts + "/" + blob.name, name: blob.name, doubtful: !isDamaged)
        }
    }

    /// Blobs that the manifest does not name come from changes that never happened.
    private static func removeOrphans(
        _ manifest: ManifestLog, _ blobs: any BlobStore, _ state: inout State
    ) throws {
        let set = manifest.current
        var orphans: [String] = []
        for blob in try blobs.list() {
            if let id = PartName.id(blob.name) {
                if set.parts[id] != nil { continue }
                manifest.skipIDs(through: id)
            } else if !blob.name.hasSuffix(".part.tmp") {
                state.faults.append(
                    StorageFault(
                        file: "parts/" + blob.name, offset: 0, problem: "not a part; left alone"))
                continue
            }
            orphans.append(blob.name)
        }
        try blobs.delete(orphans)
    }

    private static func openParts(
        _ manifest: ManifestLog, _ blobs: any BlobStore, _ stores: [any SignalStore],
        _ state: inout State
    ) {
        for part in manifest.current.sorted {
            guard let store = stores.first(where: { $0.signal == part.signal }) else { continue }
            do {
                let handle = try openPart(part, blobs)
                try store.open(handle)
                state.handles[part.id] = handle
            } catch {
                state.unreadable.insert(part.id)
                let name = PartName.blob(part.id)
                let found = error as? PartCorruption
                let fault = PartCorruption(
                    name: name, offset: found?.offset ?? 0, problem: found?.problem ?? "\(error)")
                store.missing(part, fault)
                state.faults.append(
                    StorageFault(
                        file: "parts/" + name, offset: fault.offset,
                        problem: "not served: \(fault.problem)"))
            }
        }
    }

    static func openPart(_ part: PartDescriptor, _ blobs: any BlobStore) throws -> PartHandle {
        let name = PartName.blob(part.id)
        let bytes = try blobs.map(name)
        guard UInt64(bytes.count) == part.byteCount else {
            throw PartCorruption(
                name: name, offset: bytes.count,
                problem: "\(bytes.count) bytes, the manifest says \(part.byteCount)")
        }
        let reader = try PartReader(bytes, name: name)
        guard reader.signal == part.signal else {
            throw PartCorruption(
                name: name, offset: 10,
                problem: "holds \(reader.signal.name), the manifest says \(part.signal.name)")
        }
        return PartHandle(descriptor: part, reader: reader)
    }

    // MARK: - Replay

    private static func replay(
        _ configuration: KernelConfiguration, _ directory: DataDirectory,
        _ manifest: ManifestLog, _ stores: [any SignalStore], _ followers: [any LogFollower],
        _ files: any FileSystem, _ clock: any Clock, _ random: any RandomSource,
        _ state: inout State,
        _ progress: @escaping (ReplayProgress) -> Void
    ) throws -> WriteAheadLog {
        let began = clock.monotonicNanos
        let covered = manifest.current.covered
        let names = try files.list(directory.log)
        for name in names where name.hasSuffix(".wal.tmp") {
            try files.remove(directory.log + "/" + name)
        }
        let numbers = names.compactMap(LogFormat.number).sorted()
        var startByFile: [String: Int] = [:]
        var total = 0
        for number in numbers {
            let name = LogFormat.name(number)
            startByFile["wal/" + name] = total
            total += try files.size(directory.log + "/" + name) ?? 0
        }
        var done = ReplayProgress(bytes: total, segments: numbers.count)
        progress(done)
        let replayer = LogReplayer(stores: stores, followers: followers) { place in
            done.records += place.records
            done.bytesDone = max(done.bytesDone, (startByFile[place.file] ?? 0) + place.offset)
            progress(done)
        }
        var recovery = LogRecovery(covered: covered) { replayer.take($0) }
        var segments: [LogSegment] = []
        state.replay.segments = numbers.count
        for (index, number) in numbers.enumerated() {
            let name = LogFormat.name(number)
            let bytes = try LogReplayer.read(
                directory.log + "/" + name, named: "wal/" + name, files, &state.faults)
            let last = try recovery.read(bytes, file: "wal/" + name, number: number)
            segments.append(
                LogSegment(number: number, byteCount: bytes.count, lastSequence: last ?? 0))
            state.replay.bytes += bytes.count
            replayer.flush()
            done.segmentsDone = index + 1
            progress(done)
        }
        try recovery.finish(lastFile: numbers.last.map { "wal/" + LogFormat.name($0) })
        replayer.flush()
        done.segmentsDone = numbers.count
        done.bytesDone = total
        done.records = recovery.recordCount
        progress(done)
        state.faults += recovery.faults + replayer.faults
        state.replay.records = recovery.recordCount
        state.replay.superseded = recovery.supersededCount
        try cut(recovery.tear, directory, &segments, files, &state)
        var nextSequence = recovery.nextSequence
        var nextNumber = (numbers.last ?? 0) + 1
        var acknowledged = recovery.proven
        if let last = recovery.unproven.last {
            segments.append(
                try rewrite(recovery, directory, number: nextNumber, files, random))
            acknowledged = last.header.sequence
            nextNumber += 1
            nextSequence += 1
        }
        // What was cut off, now or before a kill, must not come back: nobody waits for it any more.
        for segment in segments {
            let file = try files.open(directory.log + "/" + LogFormat.name(segment.number))
            defer { file.close() }
            try file.sync()
        }
        try files.syncDirectory(directory.log)
        state.replay.nanos = clock.monotonicNanos - began
        return WriteAheadLog(
            WriteAheadLog.Options(
                directory: directory.log, segmentBytes: configuration.segmentBytes,
                minFreeBytes: configuration.minFreeBytes, coding: configuration.logCoding,
                nextSequence: nextSequence, acknowledged: acknowledged, nextNumber: nextNumber,
                segments: segments,
                replayNanos: state.replay.records > 0 ? state.replay.nanos : 0),
            files: files, clock: clock, random: random)
    }

    /// Cuts the torn tail of the last segment.
    private static func cut(
        _ tear: (file: String, offset: Int, problem: String)?, _ directory: DataDirectory,
        _ segments: inout [LogSegment], _ files: any FileSystem, _ state: inout State
    ) throws {
        guard let tear, let last = segments.last else { return }
        let path = directory.log + "/" + LogFormat.name(last.number)
        state.replay.tornTail = StorageFault(
            file: tear.file, offset: tear.offset,
            problem: "\(last.byteCount - tear.offset) bytes cut: \(tear.problem)")
        if tear.offset > LogFormat.headerCount {
            let file = try files.open(path)
            defer { file.close() }
            try file.truncate(to: tear.offset)
            segments[segments.count - 1].byteCount = tear.offset
        } else {
            try files.remove(path)
            segments.removeLast()
        }
    }

    /// Writes the records that are not certain to be durable into a segment of their own. From now
    /// on they show, so they count as acknowledged.
    private static func rewrite(
        _ recovery: LogRecovery, _ directory: DataDirectory, number: UInt64,
        _ files: any FileSystem, _ random: any RandomSource
    ) throws -> LogSegment {
        let last = recovery.unproven.last?.header.sequence ?? recovery.proven
        let mark = random.next()
        var bytes = LogFormat.segmentHeader(
            mark: mark, number: number, acknowledged: recovery.proven)
        for recovered in recovery.unproven {
            var record = LogRecord(recovered)
            record.seal(
                mark: mark, sequence: recovered.header.sequence, acknowledged: recovery.proven)
            for piece in record.pieces { bytes += piece }
        }
        var end = LogRecord.end()
        end.seal(mark: mark, sequence: recovery.nextSequence, acknowledged: last)
        for piece in end.pieces { bytes += piece }
        // In one step: a segment that begins says that earlier ones are superseded. Whoever sees
        // its name sees bytes that were synced, which is what the end record claims.
        try files.replace(
            directory.log + "/" + LogFormat.name(number), in: directory.log, with: bytes)
        return LogSegment(
            number: number, byteCount: bytes.count, lastSequence: recovery.nextSequence)
    }
}
