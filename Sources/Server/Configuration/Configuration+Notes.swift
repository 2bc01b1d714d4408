// SPDX-License-Identifier: Apache-2.0
// What a configuration says that changes nothing.

extension Configuration {
    /// Adds a note for each thing that was accepted and has no effect.
    mutating func noteWhatIsUnused() {
        if !remoteWrites.isEmpty {
            notes.append("remote_write: without effect, since this version sends nothing on")
        }
        if !remoteReads.isEmpty {
            notes.append(
                "remote_read: without effect, queries are answered from this server's own data")
        }
        if tracing != nil {
            notes.append("tracing: without effect, this server sends no traces of itself")
        }
        if !global.queryLogFile.isEmpty {
            notes.append("global.query_log_file: without effect, use --query.log-file")
        }
        notes += storage.notes
    }
}
