# PowerShell completion for @NAME@
Register-ArgumentCompleter -Native -CommandName '@NAME@' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
    if ($wordToComplete -eq '') { $words += '' }
    & $commandAst.CommandElements[0].ToString() __complete -- @words 2>$null | ForEach-Object {
        $value, $help = $_ -split "`t", 2
        if ($value -ne ':files' -and $value -like "$wordToComplete*") {
            if (-not $help) { $help = $value }
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)
        }
    }
}
