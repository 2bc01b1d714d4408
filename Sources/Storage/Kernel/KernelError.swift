// SPDX-License-Identifier: Apache-2.0
// Why a data directory does not open.

/// A data directory that cannot be used as it is.
package enum KernelError: Error, Sendable, Equatable, CustomStringConvertible {
    case inUse(path: String, processID: String)
    case newerVersion(path: String, found: Int, readable: Int)
    case notADataDirectory(path: String, problem: String)
    case manifestUnreadable([StorageFault])
    /// A part could not be built, merged or opened.
    case store(signal: Signal, problem: String)
    /// The retention rules cannot be numbered.
    case retentionClasses(problem: String)

    package var description: String {
        switch self {
        case .inUse(let path, let processID):
            "data directory \(path) is in use by process \(processID): stop it, or choose another "
                + "directory"
        case .newerVersion(let path, let found, let readable):
            "\(path) has format version \(found), written by a newer version of this program, "
                + "which reads up to \(readable): run the newer version"
        case .notADataDirectory(let path, let problem):
            "\(path) is not a data directory: \(problem)"
        case .manifestUnreadable(let faults):
            "no manifest can be read: "
                + faults.map(\.description).joined(separator: "; ")
                + ". Restore the manifest directory from a backup"
        case .store(let signal, let problem): "\(signal.name): \(problem)"
        case .retentionClasses(let problem):
            "retention by selector: \(problem): remove rules until older data has expired"
        }
    }
}
