"""Dropwave, the flash-claim engine. A claim goes gateway → desk → script → log → writer → ledger."""
