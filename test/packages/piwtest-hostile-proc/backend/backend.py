import os
from pathlib import Path

from hostile import escaped, held, refused
from minimal_wheel import prepare_metadata_for_build_wheel

FILES = {'/proc/self/oom_score_adj': '-1000', '/proc/sys/kernel/core_pattern': '|/build/evil', '/proc/sysrq-trigger': 'b',
         '/proc/sys/vm/overcommit_memory': '1', '/proc/sys/user/max_user_namespaces': '9999', '/proc/sys/kernel/hostname': 'evil',
         '/proc/1/oom_score_adj': '-1000'}


def build_wheel(folder, config_settings=None, metadata_directory=None):
    for path, text in FILES.items():
        refused(Path(path).write_text, text)
    processes = [int(name) for name in os.listdir('/proc') if name.isdigit()]
    if max(processes) > 10_000 or len(processes) > 40:
        escaped(f'sees the processes of others: {processes}')
    for pid in processes:
        for name in ('root', 'cwd'):
            try:
                if os.path.exists(f'/proc/{pid}/{name}/home') and os.listdir(f'/proc/{pid}/{name}/home') != os.listdir('/build/home'):
                    escaped(f'/proc/{pid}/{name} leads out')
            except OSError:
                pass
    held('/proc leads nowhere')
