// SPDX-License-Identifier: Apache-2.0
// Noticing that a file has changed.

import Glibc

/// What differs when a file was written, replaced or touched. Two stamps that are equal are as good
/// a sign as there is, short of reading, that it is still the same.
package struct FileStamp: Hashable, Sendable {
    package var inode: UInt64
    package var device: UInt64
    package var sizeBytes: Int
    /// When the contents were last changed.
    package var changedNanos: Int64

    /// Nil when there is no such file, or it is no regular one. Follows links. Blocks.
    package init?(path: String) {
        var information = stat()
        guard stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
            return nil
        }
        inode = UInt64(information.st_ino)
        device = UInt64(information.st_dev)
        sizeBytes = Int(information.st_size)
        changedNanos =
            Int64(information.st_mtim.tv_sec) &* 1_000_000_000
            &+ Int64(information.st_mtim.tv_nsec)
    }
}
