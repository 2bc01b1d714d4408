// SPDX-License-Identifier: Apache-2.0
// Whether the files of a configuration have changed.

import Base

/// What lies in a configuration's files: the file itself, the jobs and the rules it includes.
struct FileChecksum: Equatable {
    private var files: [String: UInt64] = [:]

    /// Reads all files. One that cannot be read counts as one without content.
    init(_ path: String, _ configuration: Configuration) {
        let patterns = configuration.scrapeFiles + configuration.ruleFiles
        for file in [path] + patterns.flatMap({ FilePattern.files($0, in: "") }) {
            do throws(ConfigurationError) {
                files[file] = hash64(Array(try fileText(file).utf8))
            } catch {
                files[file] = 0
            }
        }
    }

    /// The same files, with an earlier look's content where it had them.
    func keeping(_ earlier: FileChecksum) -> FileChecksum {
        var copy = self
        for file in files.keys {
            if let content = earlier.files[file] { copy.files[file] = content }
        }
        return copy
    }
}
