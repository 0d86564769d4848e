"""What several tests share: waiting, event loops, servers. No test lives here."""
