// SPDX-License-Identifier: Apache-2.0
// Whose data it is.

/// A tenant's name. Every batch, part and request carries one, also when there is only one.
package struct Tenant: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let name: String
    package init(_ name: String) { self.name = name }
    /// The tenant of a server that was not told to separate tenants.
    package static let anonymous = Tenant("anonymous")
    package var description: String { name }
    package static func < (a: Tenant, b: Tenant) -> Bool { a.name < b.name }

    /// Whether the name is one that headers and paths may carry: 1 to 150 of `A-Za-z0-9!-_.*'()`,
    /// and neither `.` nor `..`. Source: the rule Loki and Mimir document for `X-Scope-OrgID`.
    package var isValid: Bool {
        let utf8 = name.utf8
        guard (1...150).contains(utf8.count), name != ".", name != ".." else { return false }
        return utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            case UInt8(ascii: "!"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: "*"), UInt8(ascii: "'"), UInt8(ascii: "("), UInt8(ascii: ")"):
                true
            default: false
            }
        }
    }
}
