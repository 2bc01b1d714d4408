// SPDX-License-Identifier: Apache-2.0
// What the disk in memory holds, and what of it is durable.

import Base

/// State of a `FaultyDisk`: what processes see, what is durable, and what lies between.
struct DiskState: Sendable {
    enum Change: Sendable {
        case write(offset: Int, bytes: [UInt8])
        case truncate(Int)
    }

    struct Node: Sendable {
        var visible: [UInt8] = []
        var durable: [UInt8] = []
        /// Changes since the last sync, in order.
        var pending: [Change] = []
        /// A sync failed: what is visible is not what the next sync will make durable.
        var isTainted = false
    }

    enum NameChange: Sendable {
        case link(String, node: Int)
        case unlink(String)
        case rename(String, String, node: Int)
        case makeDirectory(String)
    }

    struct Rule: Sendable {
        var operation: FileOperation?
        var suffix: String
        var skip: Int
        var times: Int
        var code: Int32
    }

    static let sectorBytes = 512

    var capacity: Int
    var nodes: [Int: Node] = [:]
    var names: [String: Int] = [:]
    var directories: Set<String> = [""]
    var durableNames: [String: Int] = [:]
    var durableDirectories: Set<String> = [""]
    /// Un-synced changes of names, by directory.
    var pendingNames: [String: [NameChange]] = [:]
    var locks: [String: Int] = [:]
    var nextLock = 0
    var nextNode = 1
    var rules: [Rule] = []
    var randomFaults = 0.0
    var operationCount = 0
    var random: SplitMix64

    init(seed: UInt64, capacity: Int) {
        random = SplitMix64(seed: seed)
        self.capacity = capacity
    }

    /// A file with two names takes its space once.
    var used: Int { Set(names.values).reduce(0) { $0 + (nodes[$1]?.visible.count ?? 0) } }

    // MARK: - Faults

    mutating func checkRules(_ operation: FileOperation, _ path: String) throws(FileError) {
        for index in rules.indices {
            let rule = rules[index]
            guard rule.operation == nil || rule.operation == operation,
                path.hasSuffix(rule.suffix)
            else { continue }
            if rule.skip > 0 {
                rules[index].skip -= 1
            } else if rule.times > 0 {
                rules[index].times -= 1
                throw FileError(operation, path, code: rule.code)
            }
        }
    }

    mutating func checkFault(_ operation: FileOperation, _ path: String) throws(FileError) {
        try checkRules(operation, path)
        if randomFaults > 0, Double.random(in: 0..<1, using: &random) < randomFaults {
            throw FileError(operation, path, code: FileError.inputOutput)
        }
    }

    // MARK: - Names

    static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "" }
        return String(path[..<slash])
    }

    func node(_ path: String, _ operation: FileOperation) throws(FileError) -> Int {
        guard let id = names[path] else {
            throw FileError(operation, path, code: FileError.missing)
        }
        return id
    }

    mutating func makeDirectory(_ path: String) {
        guard !directories.contains(path) else { return }
        let parent = DiskState.parent(path)
        makeDirectory(parent)
        directories.insert(path)
        pendingNames[parent, default: []].append(.makeDirectory(path))
    }

    mutating func create(_ path: String) throws(FileError) -> Int {
        let parent = DiskState.parent(path)
        guard directories.contains(parent) else {
            throw FileError(.create, path, code: FileError.missing)
        }
        if let id = names[path] {
            change(id, .truncate(0))
            return id
        }
        let id = nextNode
        nextNode += 1
        nodes[id] = Node()
        names[path] = id
        pendingNames[parent, default: []].append(.link(path, node: id))
        return id
    }

    /// A second name for a file, durable like a new one after its directory is synced.
    mutating func link(_ node: Int, _ target: String) throws(FileError) {
        let parent = DiskState.parent(target)
        guard directories.contains(parent) else {
            throw FileError(.link, target, code: FileError.missing)
        }
        guard names[target] == nil else {
            throw FileError(.link, target, code: FileError.exists)
        }
        names[target] = node
        pendingNames[parent, default: []].append(.link(target, node: node))
    }

    mutating func rename(_ source: String, _ target: String, _ node: Int) {
        names[source] = nil
        names[target] = node
        pendingNames[DiskState.parent(target), default: []]
            .append(.rename(source, target, node: node))
    }

    mutating func remove(_ path: String) {
        names[path] = nil
        pendingNames[DiskState.parent(path), default: []].append(.unlink(path))
    }

    mutating func syncDirectory(_ path: String) {
        for change in pendingNames[path] ?? [] { makeDurable(change) }
        pendingNames[path] = nil
    }

    mutating func makeDurable(_ change: NameChange) {
        switch change {
        case .link(let path, let node): durableNames[path] = node
        case .unlink(let path): durableNames[path] = nil
        case .rename(let source, let target, let node):
            durableNames[source] = nil
            durableNames[target] = node
        case .makeDirectory(let path): durableDirectories.insert(path)
        }
    }

    // MARK: - Bytes

    static func apply(_ change: Change, to bytes: inout [UInt8]) {
        switch change {
        case .truncate(let count):
            if count < bytes.count {
                bytes.removeLast(bytes.count - count)
            } else {
                bytes += repeatElement(0, count: count - bytes.count)
            }
        case .write(let offset, let new):
            let end = offset + new.count
            if end > bytes.count { bytes += repeatElement(0, count: end - bytes.count) }
            bytes.replaceSubrange(offset..<end, with: new)
        }
    }

    mutating func change(_ id: Int, _ change: Change) {
        guard nodes[id] != nil else { return }
        DiskState.apply(change, to: &nodes[id, default: Node()].visible)
        nodes[id, default: Node()].pending.append(change)
    }

    mutating func write(
        _ id: Int, _ path: String, _ pieces: [[UInt8]], _ offset: Int
    ) throws(FileError) {
        let bytes = pieces.count == 1 ? pieces[0] : Array(pieces.joined())
        let size = nodes[id]?.visible.count ?? 0
        let growth = max(0, offset + bytes.count - size)
        let room = max(0, capacity - used)
        guard growth > room else {
            if !bytes.isEmpty { change(id, .write(offset: offset, bytes: bytes)) }
            return
        }
        let fits = max(0, bytes.count - (growth - room))
        if fits > 0 { change(id, .write(offset: offset, bytes: Array(bytes[..<fits]))) }
        throw FileError(.write, path, code: FileError.noSpace)
    }

    /// A write that fails leaves some first part of its bytes.
    mutating func writePartly(_ id: Int, _ pieces: [[UInt8]], _ offset: Int) {
        let bytes = Array(pieces.joined())
        let count = Int.random(in: 0...bytes.count, using: &random)
        if count > 0 { change(id, .write(offset: offset, bytes: Array(bytes[..<count]))) }
    }

    mutating func sync(_ id: Int) {
        guard var node = nodes[id], !node.pending.isEmpty else { return }
        if node.isTainted {
            for change in node.pending { DiskState.apply(change, to: &node.durable) }
        } else {
            node.durable = node.visible
        }
        node.pending = []
        nodes[id] = node
    }

    /// A failed sync: some bytes got through, the others are forgotten though they can be read.
    mutating func failSync(_ id: Int) {
        guard var node = nodes[id] else { return }
        node.durable = surviving(node, &random)
        node.pending = []
        node.isTainted = true
        nodes[id] = node
    }
}
