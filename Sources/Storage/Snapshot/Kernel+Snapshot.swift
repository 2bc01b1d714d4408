// SPDX-License-Identifier: Apache-2.0
// A copy of the data directory that costs no space.

import Base
import Synchronization

extension Kernel {
    /// Makes `snapshots/NAME` a data directory of its own, whose part files are hard links to those
    /// of this one. It is durable when this returns, can be opened and checked like any other, and
    /// is never touched again.
    ///
    /// Everything acknowledged before the call is in it, of all tenants and signals.
    ///
    /// - Parameters:
    ///   - name: a file name that does not exist yet.
    ///   - skipHead: leave out what is not in parts, instead of sealing it first.
    /// - Throws: what stood in the way. What is left of the directory then holds a file
    ///   `UNFINISHED`, is refused by `open`, and can be removed.
    package func snapshot(name: String, skipHead: Bool = false) async throws {
        precondition(!name.isEmpty && !name.contains("/"), "a snapshot has a plain name")
        if !skipHead { try await sealAll() }
        // Nothing merges or expires meanwhile, so each part of the set has its file.
        try await exclusively { [self] in
            do {
                try writeSnapshot(directory.snapshots + "/" + name)
            } catch {
                note("snapshot \(name)", error) { _ in }
                throw error
            }
        }
    }

    private func writeSnapshot(_ path: String) throws {
        let set = manifest.current
        let unfinished = path + "/UNFINISHED"
        try files.makeDirectory(path)
        for file in try files.list(path) {
            throw KernelError.notADataDirectory(path: path, problem: "it holds \(file) already")
        }
        let mark = try files.create(unfinished)
        try mark.sync()
        mark.close()
        for one in [path, directory.snapshots, directory.path] { try files.syncDirectory(one) }

        // A file that is missing here is missing there, and the check of either says so.
        let present = Set(try blobs.list().map(\.name))
        let names = set.sorted.map { PartName.blob($0.id) }.filter { present.contains($0) }
        try blobs.link(names, into: path + "/parts")
        try files.makeDirectory(path + "/wal")
        try files.makeDirectory(path + "/manifest")
        let checkpoint = ManifestRecord(
            isCheckpoint: true, epoch: set.epoch, covered: set.covered,
            nextPartID: manifest.reserveIDs(0), removed: [], added: set.sorted
        ).encoded()
        try files.replace(
            path + "/manifest/" + ManifestFormat.name(1), in: path + "/manifest",
            with: ManifestFormat.header + checkpoint)
        if retention.classes != RetentionClasses() {
            try retention.classes.write(to: path, files)
        }
        try files.syncDirectory(path)
        // VERSION is last: where it is, everything else is.
        try files.replace(path + "/VERSION", in: path, with: DataDirectory.versionFile)
        try files.remove(unfinished)
        try files.syncDirectory(path)
    }
}
