// SPDX-License-Identifier: Apache-2.0
// What is left when the power goes.

import Base

extension DiskState {
    /// The state that the next start finds: everything durable, and an arbitrary choice of the
    /// rest.
    func afterPowerCut(seed: UInt64) -> DiskState {
        var random = SplitMix64(seed: seed)
        var next = DiskState(seed: random.next(), capacity: capacity)
        var durable = self
        for (directory, changes) in pendingNames.sorted(by: { $0.key < $1.key }) {
            for change in DiskState.choose(changes, &random) { durable.makeDurable(change) }
            durable.pendingNames[directory] = nil
        }
        next.nextNode = nextNode
        next.directories = durable.durableDirectories.filter { path in
            var path = path
            while !path.isEmpty {
                if !durable.durableDirectories.contains(path) { return false }
                path = DiskState.parent(path)
            }
            return true
        }
        next.durableDirectories = next.directories
        for (path, id) in durable.durableNames.sorted(by: { $0.key < $1.key }) {
            guard next.directories.contains(DiskState.parent(path)), let node = nodes[id] else {
                continue
            }
            if next.nodes[id] == nil {
                let bytes = surviving(node, &random)
                next.nodes[id] = Node(visible: bytes, durable: bytes)
            }
            next.names[path] = id
        }
        next.durableNames = next.names
        return next
    }

    /// Journals keep the order of names, other file systems do not: both happen.
    private static func choose(
        _ changes: [NameChange], _ random: inout SplitMix64
    ) -> [NameChange] {
        switch random.next() % 4 {
        case 0: []
        case 1: changes
        case 2: Array(changes.prefix(Int.random(in: 0...changes.count, using: &random)))
        default: changes.filter { _ in Bool.random(using: &random) }
        }
    }

    /// The bytes of a file of which un-synced changes survive in part. Each sector is as it was
    /// after some number of the changes, for the cache writes sectors back, not calls; a few are
    /// torn in themselves.
    func surviving(_ node: Node, _ random: inout SplitMix64) -> [UInt8] {
        let count = node.pending.count
        guard count > 0 else { return node.durable }
        switch random.next() % 4 {
        case 0: return node.durable
        case 1: return DiskState.applied(node.pending[...], to: node.durable)
        default: break
        }
        var versions = [node.durable]
        for change in node.pending {
            versions.append(DiskState.applied([change], to: versions[versions.count - 1]))
        }
        // The size may be durable though bytes are not: they read as zeros.
        var bytes = versions[Int.random(in: 0...count, using: &random)]
        var start = 0
        while start < bytes.count {
            let end = min(start + DiskState.sectorBytes, bytes.count)
            let version = versions[Int.random(in: 0...count, using: &random)]
            let older = versions[Int.random(in: 0...count, using: &random)]
            let torn =
                random.next() % 16 == 0 ? Int.random(in: start...end, using: &random) : end
            for at in start..<end {
                let source = at < torn ? version : older
                bytes[at] = at < source.count ? source[at] : 0
            }
            start = end
        }
        return bytes
    }

    private static func applied(_ changes: ArraySlice<Change>, to bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for change in changes { apply(change, to: &bytes) }
        return bytes
    }
}
