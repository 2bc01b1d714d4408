// SPDX-License-Identifier: Apache-2.0
// `<<` in YAML mappings.

import Yams

extension Node {
    /// The mapping with what `<<` names put in; keys of its own win, then those named first.
    var withMergedKeys: Node { withMergedKeys(depth: 0) }

    /// - Parameter depth: of mappings that are merged into each other; at 64 what is further is left
    ///   out, since this goes down by recursion.
    private func withMergedKeys(depth: Int) -> Node {
        guard depth < 64, case .mapping(let mapping) = self,
            let merged = mapping.first(where: { $0.key.string == "<<" })?.value
        else { return self }
        var pairs: [(Node, Node)] = []
        var known: Set<String> = []
        func add(_ mapping: Node.Mapping) {
            for (key, value) in mapping where key.string != "<<" {
                if let name = key.string, !known.insert(name).inserted { continue }
                pairs.append((key, value))
            }
        }
        add(mapping)
        for source in merged.sequence.map(Array.init) ?? [merged] {
            if case .mapping(let other) = source.withMergedKeys(depth: depth + 1) { add(other) }
        }
        return .mapping(Node.Mapping(pairs, mapping.tag, mapping.style, mapping.mark))
    }
}
