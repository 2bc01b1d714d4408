// SPDX-License-Identifier: Apache-2.0
// The list of groups that target files and HTTP discovery share.

import Base

/// Reads `[{"targets": ["host:port"], "labels": {"name": "value"}}]`. Other members are errors:
/// a misspelt `label` shall not lose labels.
///
/// - Parameters:
///   - source: prefix of the groups' sources.
///   - label: added to each group.
///   - allowsNull: whether null stands for nothing, as an empty YAML file does.
func targetGroups(
    _ json: [UInt8], source: String, label: NamedText
) throws(DiscoveryError) -> [TargetGroup] {
    let tree = try JSONTree(json)
    if tree.isNull { return [] }
    guard case .array(let items) = tree else {
        throw DiscoveryError("a list of target groups was expected")
    }
    var groups: [TargetGroup] = []
    groups.reserveCapacity(items.count)
    for (index, item) in items.enumerated() {
        if item.isNull { throw DiscoveryError("nil target group item found") }
        guard case .object(let members) = item else {
            throw DiscoveryError("target group \(index) is not an object")
        }
        let known: Set = ["targets", "labels"]
        for name in members.keys.sorted() where !known.contains(name) {
            throw DiscoveryError("unknown field \(quotedText(name)) in target group \(index)")
        }
        var group = TargetGroup(source: "\(source):\(index)", targets: [])
        group.targets = try addresses(item["targets"], index)
        group.labels = try labels(item["labels"], index)
        group.labels.removeAll { $0.name == label.name }
        group.labels.append(label)
        groups.append(group)
    }
    return groups
}

private func addresses(_ tree: JSONTree, _ group: Int) throws(DiscoveryError) -> [[NamedText]] {
    if tree.isNull { return [] }
    guard case .array(let items) = tree else {
        throw DiscoveryError("targets of group \(group) are not a list")
    }
    var result: [[NamedText]] = []
    result.reserveCapacity(items.count)
    for item in items {
        guard let address = item.string else {
            throw DiscoveryError("a target of group \(group) is no text")
        }
        result.append([NamedText("__address__", address)])
    }
    return result
}

private func labels(_ tree: JSONTree, _ group: Int) throws(DiscoveryError) -> [NamedText] {
    if tree.isNull { return [] }
    guard case .object(let members) = tree else {
        throw DiscoveryError("labels of group \(group) are not an object")
    }
    for (name, value) in members {
        // What stands behind no text in YAML is a label without a value, which is none.
        guard value.string != nil || value.isNull else {
            throw DiscoveryError("label \(quotedText(name)) of group \(group) is no text")
        }
        if name.isEmpty { throw DiscoveryError("\"\" is not a valid label name") }
    }
    return tree.texts
}
