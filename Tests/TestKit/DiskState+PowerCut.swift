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

    /// The bytes of a file of which un-synced changes survive in part, sector by sector.
    func surviving(_ node: Node, _ random: inout SplitMix64) -> [UInt8] {
        guard !node.pending.isEmpty else { return node.durable }
        let mode = random.next() % 4
        if mode == 0 { return node.durable }
        var bytes = node.durable
        for change in node.pending {
            guard mode != 1, case .write(let offset, let new) = change else {
                if mode == 1 || Bool.random(using: &random) {
                    DiskState.apply(change, to: &bytes)
                }
                continue
            }
            var at = 0
            while at < new.count {
                let sector = (offset + at) / DiskState.sectorBytes
                let end = min(new.count, (sector + 1) * DiskState.sectorBytes - offset)
                var kept = end
                let dice = random.next() % 16
                // Half the sectors are lost, a few are torn in themselves.
                if dice < 7 {
                    kept = at
                } else if dice == 7 {
                    kept = Int.random(in: at...end, using: &random)
                }
                if kept > at {
                    DiskState.apply(
                        .write(offset: offset + at, bytes: Array(new[at..<kept])), to: &bytes)
                }
                at = end
            }
            // The size may be durable though the bytes are not: they read as zeros.
            let full = offset + new.count
            if full > bytes.count, Bool.random(using: &random) {
                bytes += repeatElement(0, count: full - bytes.count)
            }
        }
        return bytes
    }
}
