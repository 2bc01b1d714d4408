// SPDX-License-Identifier: Apache-2.0
// What tests ask of JSON.

import Base

extension JSONValue {
    /// Whether an object has a member, be it null.
    func has(_ name: String) -> Bool { members.contains { $0.name == name } }

    /// Members sorted by name at every level: for comparison.
    var sorted: JSONValue {
        switch self {
        case .array(let values): .array(values.map(\.sorted))
        case .object(let members):
            .object(
                members.map { JSONMember(name: $0.name, value: $0.value.sorted) }
                    .sorted { $0.name < $1.name })
        default: self
        }
    }
}
