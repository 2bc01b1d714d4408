// SPDX-License-Identifier: Apache-2.0
// Looking at every byte of a data directory, offline.

import Base

/// What `StorageCheck` saw and what is wrong.
package struct CheckReport: Sendable, Equatable {
    package var manifestEpoch: UInt64 = 0
    package var segments = 0
    package var logBytes = 0
    /// Log records that are not in parts yet.
    package var records = 0
    package var parts: [Signal: PartTotals] = [:]
    /// Damage: data that was acknowledged is lost or cannot be trusted.
    package var faults: [StorageFault] = []
    /// What interrupted work left behind and the next start clears away; nothing is lost.
    package var notes: [StorageFault] = []

    package var isSound: Bool { faults.isEmpty }
}

/// The offline check behind `tern check data`.
package enum StorageCheck {
    /// Verifies every manifest record, log record and part, and looks for files that belong to
    /// nothing. Changes nothing but takes the lock, so the directory must not be in use.
    ///
    /// Reads the whole directory; memory is one log segment plus the heads of what is not in parts.
    ///
    /// - Parameter storesBySignal: fresh stores, which are filled and thrown away: they know what
    ///   the bytes of their signal mean. Without one, checksums are all that is verified.
    /// - Throws: `KernelError` or `FileError` when the directory cannot be read at all.
    package static func check(
        path: String, files: any FileSystem = LocalFileSystem(),
        storesBySignal: [Signal: any SignalStore] = [:]
    ) throws -> CheckReport {
        let directory = try DataDirectory(path, files: files, create: false)
        defer { directory.lock.unlock() }
        var report = CheckReport()
        let set = try checkManifest(directory, files, &report)
        try checkRetentionClasses(directory, files, set, &report)
        try checkParts(directory, files, set, storesBySignal, &report)
        let quarantined = try Quarantine(directory: directory, files: files).contents()
        report.faults += quarantined.faults
        report.notes += quarantined.notes
        try checkLog(directory, files, set.covered, storesBySignal, &report)
        return report
    }

    private static func checkManifest(
        _ directory: DataDirectory, _ files: any FileSystem, _ report: inout CheckReport
    ) throws -> PartSet {
        let names = try files.list(directory.manifest)
        noteForeign(names, in: "manifest", &report) { ManifestFormat.number($0) != nil }
        let numbers = names.compactMap(ManifestFormat.number).sorted()
        for number in numbers.reversed() {
            let name = ManifestFormat.name(number)
            let bytes = try files.readAll(directory.manifest + "/" + name)
            let reader = ManifestReader(bytes, file: "manifest/" + name)
            if reader.isUsable, !reader.isDamagedInside {
                // A bad end alone is an edit that never was acknowledged.
                report.notes += reader.faults
            } else {
                report.faults += reader.faults
            }
            guard reader.isUsable else { continue }
            for older in numbers where older < number {
                report.notes.append(
                    StorageFault(
                        file: "manifest/" + ManifestFormat.name(older), offset: 0,
                        problem: "superseded by \(name)"))
            }
            report.manifestEpoch = reader.set.epoch
            return reader.set
        }
        if !numbers.isEmpty {
            report.faults.append(
                StorageFault(
                    file: "manifest", offset: 0, problem: "no file has a whole checkpoint"))
        }
        return PartSet()
    }

    private static func checkRetentionClasses(
        _ directory: DataDirectory, _ files: any FileSystem, _ set: PartSet,
        _ report: inout CheckReport
    ) throws {
        do {
            let classes = try RetentionClasses.read(directory, files)
            let unknown = Set(set.parts.values.map(\.retentionClass)).subtracting([0])
                .subtracting(classes.names.keys)
            if !unknown.isEmpty {
                report.notes.append(
                    StorageFault(
                        file: RetentionClasses.fileName, offset: 0,
                        problem: "does not name the classes \(unknown.sorted()) of parts, which "
                            + "are kept as long as the longest retention says"))
            }
        } catch let error as MalformedBytes {
            report.faults.append(
                StorageFault(
                    file: RetentionClasses.fileName, offset: error.offset, problem: "\(error)"))
        }
    }

    private static func checkParts(
        _ directory: DataDirectory, _ files: any FileSystem, _ set: PartSet,
        _ stores: [Signal: any SignalStore], _ report: inout CheckReport
    ) throws {
        let blobs = DirectoryBlobStore(directory: directory.parts, files: files)
        for blob in try blobs.list() {
            if let id = PartName.id(blob.name), set.parts[id] != nil { continue }
            report.notes.append(
                StorageFault(
                    file: "parts/" + blob.name, offset: 0, problem: "not in the manifest"))
        }
        for part in set.sorted {
            let name = "parts/" + PartName.blob(part.id)
            do {
                let handle = try Kernel.openPart(part, blobs)
                var found = handle.reader.verify()
                if found.isEmpty, let store = stores[part.signal] {
                    found = store.verify(handle)
                    if found.isEmpty { try store.open(handle) }
                }
                for fault in found {
                    report.faults.append(
                        StorageFault(file: name, offset: fault.offset, problem: fault.problem))
                }
                report.parts[part.signal, default: PartTotals()].count += 1
                report.parts[part.signal, default: PartTotals()].bytes += handle.reader.bytes.count
                report.parts[part.signal, default: PartTotals()].rows += Int(
                    clamping: part.rowCount)
            } catch {
                let corruption = error as? PartCorruption
                report.faults.append(
                    StorageFault(
                        file: name, offset: corruption?.offset ?? 0,
                        problem: corruption?.problem ?? "\(error)"))
            }
        }
    }

    private static func checkLog(
        _ directory: DataDirectory, _ files: any FileSystem, _ covered: UInt64,
        _ stores: [Signal: any SignalStore], _ report: inout CheckReport
    ) throws {
        let names = try files.list(directory.log)
        noteForeign(names, in: "wal", &report) { LogFormat.number($0) != nil }
        let numbers = names.compactMap(LogFormat.number).sorted()
        let ordered = stores.sorted { $0.key.rawValue < $1.key.rawValue }.map(\.value)
        let replayer = LogReplayer(stores: ordered)
        var recovery = LogRecovery(covered: covered) { replayer.take($0) }
        for number in numbers {
            let name = LogFormat.name(number)
            let bytes = try LogReplayer.read(
                directory.log + "/" + name, named: "wal/" + name, files, &report.faults)
            _ = try recovery.read(bytes, file: "wal/" + name, number: number)
            replayer.flush()
            report.logBytes += bytes.count
        }
        try recovery.finish(lastFile: numbers.last.map { "wal/" + LogFormat.name($0) })
        replayer.flush()
        report.segments = numbers.count
        report.records = recovery.recordCount
        report.faults += recovery.faults + replayer.faults
        if let tear = recovery.tear {
            report.notes.append(
                StorageFault(
                    file: tear.file, offset: tear.offset,
                    problem: "end never acknowledged: \(tear.problem)"))
        }
    }

    private static func noteForeign(
        _ names: [String], in directory: String, _ report: inout CheckReport,
        _ known: (String) -> Bool
    ) {
        for name in names where !known(name) {
            let problem =
                name.hasSuffix(".tmp") ? "left by an interrupted change" : "not one of ours"
            report.notes.append(
                StorageFault(file: directory + "/" + name, offset: 0, problem: problem))
        }
    }
}
