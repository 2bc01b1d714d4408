// SPDX-License-Identifier: Apache-2.0
// What the kernel answered when it refused.

import Glibc

package enum FileOperation: String, Sendable, CaseIterable {
    case makeDirectory = "make directory"
    case create, open, read, write, sync, truncate, map, size, list, link, rename, remove, lock
    case syncDirectory = "sync directory"
    case freeBytes = "ask free space"
}

/// A file operation that failed, with the kernel's error code.
package struct FileError: Error, Sendable, Hashable, CustomStringConvertible {
    package var operation: FileOperation
    package var path: String
    /// `errno`.
    package var code: Int32

    package init(_ operation: FileOperation, _ path: String, code: Int32) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    /// The disk or the quota is full: freeing space helps, retrying at once does not.
    package var isNoSpace: Bool { code == ENOSPC || code == EDQUOT }
    package var isNotPermitted: Bool { code == EACCES || code == EPERM }
    package var isMissing: Bool { code == ENOENT }

    package static let missing = ENOENT
    package static let exists = EEXIST
    package static let inputOutput = EIO
    package static let noSpace = ENOSPC

    package var description: String {
        "cannot \(operation.rawValue) \(path): \(String(cString: strerror(code)))"
    }
}
