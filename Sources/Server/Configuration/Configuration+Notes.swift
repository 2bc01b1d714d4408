// SPDX-License-Identifier: Apache-2.0
// What a configuration says that changes nothing.

extension Configuration {
    /// Adds a note for each thing that was accepted and has no effect.
    mutating func noteWhatIsUnused() {
        if remoteWrites.contains(where: \.usesRoundRobinDNS) {
            notes.append(
                "remote_write: round_robin_dns is without effect; connections are pooled by name")
        }
        if remoteWrites.contains(where: {
            $0.queue.capacity != RemoteWriteSettings.Queue().capacity
        }) {
            notes.append("remote_write: capacity is without effect; what waits is on disk")
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
