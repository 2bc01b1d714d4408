// SPDX-License-Identifier: Apache-2.0
// Files that belong to nothing and may be all that is left of something.

import Base

/// The folder `quarantine/` of a data directory. When the manifest is damaged, files that it does
/// not name may hold acknowledged data: they are moved here instead of being deleted, and stay
/// until an operator removes them.
///
/// A name that ends in `.doubtful` comes from a manifest whose end alone was bad. That is, nearly
/// always, a change that was never acknowledged: nothing is lost then.
struct Quarantine {
    private static let doubtfulSuffix = ".doubtful"

    let directory: DataDirectory
    let files: any FileSystem

    /// Moves a file here, durably.
    func take(_ path: String, name: String, doubtful: Bool = false) throws(FileError) {
        try files.makeDirectory(directory.quarantine)
        try files.syncDirectory(directory.path)
        let suffix = doubtful ? Quarantine.doubtfulSuffix : ""
        var target = "\(directory.quarantine)/\(name)\(suffix)"
        var copies = 1
        while try files.size(target) != nil {
            copies += 1
            target = "\(directory.quarantine)/\(name).\(copies)\(suffix)"
        }
        try files.rename(path, to: target)
        try files.syncDirectory(directory.quarantine)
    }

    /// What lies here: faults, and what is in doubt only.
    func contents() throws(FileError) -> (faults: [StorageFault], notes: [StorageFault]) {
        let names: [String]
        do throws(FileError) {
            names = try files.list(directory.quarantine)
        } catch {
            guard error.isMissing else { throw error }
            return ([], [])
        }
        var faults: [StorageFault] = []
        var notes: [StorageFault] = []
        for name in names {
            let isDoubtful = name.hasSuffix(Quarantine.doubtfulSuffix)
            let fault = StorageFault(
                file: "quarantine/" + name, offset: 0,
                problem: isDoubtful
                    ? "of a change at the end of the manifest that could not be read; kept, not "
                        + "served"
                    : "set aside when the manifest was found damaged; kept, not served. Restore "
                        + "from a backup, or remove the file to accept the loss")
            if isDoubtful { notes.append(fault) } else { faults.append(fault) }
        }
        return (faults, notes)
    }
}
