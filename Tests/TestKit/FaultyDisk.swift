// SPDX-License-Identifier: Apache-2.0
// A disk in memory that fails, tears and forgets.

import Base
import Synchronization

/// A file system that promises no more than POSIX does.
///
/// Bytes are durable only after a successful `sync` of their file, names only after
/// `syncDirectory`. A power cut (`afterPowerCut`) keeps an arbitrary, seeded choice of everything
/// else: any of the sectors of un-synced writes, any of the un-synced names. Operations can be made
/// to fail; a failed write leaves a part of its bytes, and a failed sync drops what it should have
/// made durable while the bytes stay readable, as Linux does.
package final class FaultyDisk: FileSystem {
    /// Called before each operation that changes something.
    package typealias Hook = @Sendable (FaultyDisk, FileOperation, String) -> Void

    let state: Mutex<DiskState>
    private let hook = Mutex<Hook?>(nil)

    package init(seed: UInt64 = 1, capacityBytes: Int = 1 << 40) {
        state = Mutex(DiskState(seed: seed, capacity: capacityBytes))
    }

    private init(_ state: DiskState) { self.state = Mutex(state) }

    // MARK: - Control

    package func onOperation(_ hook: Hook?) { self.hook.withLock { $0 = hook } }

    /// Makes the `nth` matching operation from now (1 = the next) fail, and `times - 1` after it.
    package func fail(
        _ operation: FileOperation?, at nth: Int = 1, times: Int = 1, code: Int32,
        pathSuffix: String = ""
    ) {
        state.withLock {
            $0.rules.append(
                DiskState.Rule(
                    operation: operation, suffix: pathSuffix, skip: nth - 1, times: times,
                    code: code))
        }
    }

    /// Makes each changing operation fail with this probability, with EIO.
    package func failRandomly(_ probability: Double) {
        state.withLock { $0.randomFaults = probability }
    }

    package func clearFaults() {
        state.withLock {
            $0.rules = []
            $0.randomFaults = 0
        }
    }

    package func setCapacity(_ bytes: Int) { state.withLock { $0.capacity = bytes } }
    package var usedBytes: Int { state.withLock { $0.used } }
    /// Operations so far that changed, or would have changed, something.
    package var operationCount: Int { state.withLock { $0.operationCount } }

    /// The disk as the next start finds it after the power went.
    package func afterPowerCut(seed: UInt64) -> FaultyDisk {
        FaultyDisk(state.withLock { $0.afterPowerCut(seed: seed) })
    }

    /// The disk after the process was killed: everything written is there, locks are gone.
    package func afterKill() -> FaultyDisk {
        FaultyDisk(
            state.withLock { state in
                var copy = state
                copy.locks = [:]
                copy.rules = []
                copy.randomFaults = 0
                return copy
            })
    }

    /// Visible files, ascending.
    package var paths: [String] { state.withLock { $0.names.keys.sorted() } }

    package func contents(_ path: String) -> [UInt8]? {
        state.withLock { state in state.names[path].flatMap { state.nodes[$0]?.visible } }
    }

    /// Changes a file behind everybody's back, durably: for damage.
    package func overwrite(_ path: String, _ change: (inout [UInt8]) -> Void) {
        state.withLock { state in
            guard let id = state.names[path], var node = state.nodes[id] else { return }
            change(&node.visible)
            node.durable = node.visible
            node.pending = []
            state.nodes[id] = node
        }
    }

    // MARK: - FileSystem

    private func changing<R>(
        _ operation: FileOperation, _ path: String,
        _ body: (inout DiskState) throws(FileError) -> R
    ) throws(FileError) -> R {
        hook.withLock { $0 }?(self, operation, path)
        return try state.withLock { state throws(FileError) in
            state.operationCount += 1
            try state.checkFault(operation, path)
            return try body(&state)
        }
    }

    private func reading<R>(
        _ operation: FileOperation, _ path: String,
        _ body: (inout DiskState) throws(FileError) -> R
    ) throws(FileError) -> R {
        try state.withLock { state throws(FileError) in
            try state.checkRules(operation, path)
            return try body(&state)
        }
    }

    package func makeDirectory(_ path: String) throws(FileError) {
        if state.withLock({ $0.directories.contains(path) }) { return }
        try changing(.makeDirectory, path) { $0.makeDirectory(path) }
    }

    package func create(_ path: String) throws(FileError) -> any WritableFile {
        let node = try changing(.create, path) { state throws(FileError) in
            try state.create(path)
        }
        return FaultyFile(disk: self, path: path, node: node)
    }

    package func open(_ path: String) throws(FileError) -> any WritableFile {
        let node = try reading(.open, path) { state throws(FileError) in
            try state.node(path, .open)
        }
        return FaultyFile(disk: self, path: path, node: node)
    }

    package func read(_ path: String, offset: Int, count: Int) throws(FileError) -> [UInt8] {
        try reading(.read, path) { state throws(FileError) in
            let bytes = state.nodes[try state.node(path, .read)]?.visible ?? []
            guard offset < bytes.count else { return [] }
            if offset == 0 && count >= bytes.count { return bytes }
            return Array(bytes[offset..<min(bytes.count, offset + count)])
        }
    }

    package func map(_ path: String) throws(FileError) -> SharedBytes {
        SharedBytes(
            try reading(.map, path) { state throws(FileError) in
                state.nodes[try state.node(path, .map)]?.visible ?? []
            })
    }

    package func size(_ path: String) throws(FileError) -> Int? {
        try reading(.size, path) { state throws(FileError) in
            state.names[path].flatMap { state.nodes[$0]?.visible.count }
        }
    }

    package func list(_ directory: String) throws(FileError) -> [String] {
        try reading(.list, directory) { state throws(FileError) in
            guard state.directories.contains(directory) else {
                throw FileError(.list, directory, code: FileError.missing)
            }
            let prefix = directory + "/"
            let all = Array(state.names.keys) + Array(state.directories)
            return all.compactMap { path in
                guard path.hasPrefix(prefix) else { return nil }
                let rest = path.dropFirst(prefix.count)
                return rest.contains("/") ? nil : String(rest)
            }.sorted()
        }
    }

    package func link(_ source: String, to target: String) throws(FileError) {
        try changing(.link, target) { state throws(FileError) in
            try state.link(try state.node(source, .link), target)
        }
    }

    package func rename(_ source: String, to target: String) throws(FileError) {
        try changing(.rename, source) { state throws(FileError) in
            let node = try state.node(source, .rename)
            state.rename(source, target, node)
        }
    }

    package func remove(_ path: String) throws(FileError) {
        try changing(.remove, path) { state throws(FileError) in
            _ = try state.node(path, .remove)
            state.remove(path)
        }
    }

    package func syncDirectory(_ path: String) throws(FileError) {
        try changing(.syncDirectory, path) { $0.syncDirectory(path == "/" ? "" : path) }
    }

    package func lock(_ path: String) throws(FileError) -> FileLocking {
        if try size(path) == nil {
            _ = try changing(.create, path) { state throws(FileError) in try state.create(path) }
        }
        return state.withLock { state in
            if state.locks[path] != nil { return .held(by: "4711") }
            state.nextLock += 1
            state.locks[path] = state.nextLock
            return .locked(FaultyLock(disk: self, path: path, id: state.nextLock))
        }
    }

    package func freeBytes(_ path: String) throws(FileError) -> Int {
        try reading(.freeBytes, path) { max(0, $0.capacity - $0.used) }
    }

    func write(_ node: Int, _ path: String, _ pieces: [[UInt8]], _ offset: Int) throws(FileError) {
        try changing(.write, path, orPartly: { $0.writePartly(node, pieces, offset) }) {
            state throws(FileError) in
            try state.write(node, path, pieces, offset)
        }
    }

    func sync(_ node: Int, _ path: String) throws(FileError) {
        try changing(.sync, path, orPartly: { $0.failSync(node) }) { $0.sync(node) }
    }

    func truncate(_ node: Int, _ path: String, _ count: Int) throws(FileError) {
        try changing(.truncate, path) { $0.change(node, .truncate(count)) }
    }

    func unlock(_ path: String, _ id: Int) {
        state.withLock { if $0.locks[path] == id { $0.locks[path] = nil } }
    }

    /// Like `changing`, with what happens when the operation is made to fail.
    private func changing(
        _ operation: FileOperation, _ path: String, orPartly partly: (inout DiskState) -> Void,
        _ body: (inout DiskState) throws(FileError) -> Void
    ) throws(FileError) {
        hook.withLock { $0 }?(self, operation, path)
        try state.withLock { state throws(FileError) in
            state.operationCount += 1
            do throws(FileError) {
                try state.checkFault(operation, path)
            } catch {
                partly(&state)
                throw error
            }
            try body(&state)
        }
    }
}

private final class FaultyFile: WritableFile {
    let path: String
    private let disk: FaultyDisk
    private let node: Int

    init(disk: FaultyDisk, path: String, node: Int) {
        self.disk = disk
        self.path = path
        self.node = node
    }

    func write(_ pieces: [[UInt8]], at offset: Int) throws(FileError) {
        try disk.write(node, path, pieces, offset)
    }
    func sync() throws(FileError) { try disk.sync(node, path) }
    func truncate(to byteCount: Int) throws(FileError) {
        try disk.truncate(node, path, byteCount)
    }
    func close() {}
}

private final class FaultyLock: FileLock {
    private let disk: FaultyDisk
    private let path: String
    private let id: Int

    init(disk: FaultyDisk, path: String, id: Int) {
        self.disk = disk
        self.path = path
        self.id = id
    }
    deinit { unlock() }
    func unlock() { disk.unlock(path, id) }
}
